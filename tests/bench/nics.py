# SPDX-License-Identifier: BSD-3-Clause
"""iperf3 between two guests without KVM: two NICs of a card on one switch, and
the NICs that QEMU emulates, between the same two guests.  The guests are small
(tests/guest/initramfs.py), the same for all, and have a processor each."""
import contextlib
import json
import pathlib
import signal
import subprocess
import tempfile

import machine
from figures import compare
from guest import Card, Failure, wait_until
from initramfs import SmallGuest, make_initramfs, programs

CASES = {"nic/tcp-1500": "one stream of TCP between two guests, MTU 1500",
         "nic/tcp-9001": "the same, MTU 9001"}
QUICK = {"nic/tcp-1500"}
NETWORK = "10.0.0"
PAIR_SECONDS = 15                       # to start two guests


def cases(is_quick):
    return [case for case in CASES.items() if not is_quick or case[0] in QUICK]


def run(plan, table):
    chosen = [name for name, _ in cases(plan.is_quick) if plan.has(name)]
    if not chosen or not plan.has_time(table, "nic", 45):
        return
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=plan.folder) as folder:
            Session(plan, table, pathlib.Path(folder)).run(chosen)
    except (Failure, OSError, ValueError, subprocess.TimeoutExpired) as why:
        table.say(f"nic: not measured: {str(why).splitlines()[0]}")


class Session:
    """Our guests stay; those of each peer come and go, and all take turns."""

    def __init__(self, plan, table, folder):
        self.plan, self.table, self.folder = plan, table, folder
        self.initramfs = make_initramfs(folder / "initramfs",
                                        programs("/usr/bin/iperf3"))

    def run(self, chosen):
        self.table.progress("nic: guests of the card boot")
        with CardPair(self) as ours:
            for peer in (StreamPair, VhostPair, E1000ePair, IgbPair):
                needed = PAIR_SECONDS + len(chosen) * 2 * self.plan.rounds * (
                    self.plan.seconds + 2)
                if not self.plan.has_time(self.table, f"nic: {peer.name}", needed):
                    continue
                self.table.progress(f"nic: guests with {peer.name} boot")
                try:
                    with peer(self) as theirs:
                        self.compare(chosen, ours, theirs)
                except (Failure, OSError) as why:
                    self.table.say(f"nic: no {peer.name}: {str(why).splitlines()[0]}")

    def compare(self, chosen, ours, theirs):
        for case in chosen:
            found = {ours: [], theirs: []}
            mtu = int(case.rpartition("-")[2])
            for number in range(self.plan.rounds):
                for pair in found:
                    self.table.progress(f"{case}: {theirs.name}, round {number + 1} "
                                        f"of {self.plan.rounds}")
                    with pair.at_work():
                        found[pair].append(pair.measure(mtu, self.plan.seconds))
            for unit in found[ours][0]:
                self.table.add(compare(
                    case, unit, [one[unit] for one in found[ours]], theirs.name,
                    [one[unit] for one in found[theirs]]))


class Pair:
    """Two guests with a NIC each, and whoever carries frames between them."""
    name = None

    def __init__(self, session):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=session.folder))
        self.initramfs = session.initramfs
        self.guests = []
        self.carrier = None             # a process beside both QEMUs

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.start_carrier()
        for number in range(2):
            guest = SmallGuest(self.initramfs, self.devices(number), memory=256)
            self.guests.append(guest)
            guest.start()
        for number, guest in enumerate(self.guests):
            guest.wait_for_shell()
            guest.run(f"ip addr add {NETWORK}.{number + 1}/24 dev eth0\n"
                      "ip link set eth0 up")
        self.guests[0].run("iperf3 -s -D >/dev/null 2>&1")

    def stop(self):
        for guest in self.guests:
            guest.kill()
        self.stop_carrier()

    def start_carrier(self):
        pass

    def stop_carrier(self):
        pass

    @contextlib.contextmanager
    def at_work(self):
        """What polls in vain stands still while others are measured."""
        yield

    def devices(self, number):
        raise NotImplementedError

    def measure(self, mtu, seconds):
        """The rate, and what it has cost outside of the guests' processors."""
        for guest in self.guests:
            guest.run(f"ip link set eth0 mtu {min(mtu, self.most_mtu)}")
        self.guests[1].run(f"ping -c 1 -w 5 {NETWORK}.1")
        before = self.outside_ns()
        said = self.guests[1].run(f"iperf3 -c {NETWORK}.1 -t {seconds} -J",
                                  seconds + 60)
        cost = self.outside_ns() - before
        done = json.loads(said)["end"]["sum_received"]
        return {"Gbit/s": done["bits_per_second"] / 1e9,
                "s cpu/GB": cost / max(done["bytes"], 1)}

    most_mtu = 9001

    def outside_ns(self):
        """Of all QEMU threads but the guests' processors, and the carrier."""
        total = machine.cpu_ns(self.carrier) if self.carrier else 0
        for guest in self.guests:
            pid = guest.qemu_pid
            total += machine.cpu_ns(pid, [
                task for task in machine.tasks(pid)
                if not machine.comm(pid, task).startswith("CPU ")])
        return total


class CardPair(Pair):
    name = "card"

    def start_carrier(self):
        self.card = Card([{"ena": {"name": f"eth{number}", "switch": "lan"}}
                          for number in range(2)])
        self.card.start()
        self.carrier = self.card.process.pid

    def stop_carrier(self):
        self.card.__exit__(None)

    def devices(self, number):
        socket = {"type": "unix", "path": str(self.card.folder / f"eth{number}.sock")}
        return ["-device", json.dumps({"driver": "vfio-user-pci", "socket": socket})]


class StreamPair(Pair):
    """QEMU to QEMU over a socket."""
    name = "virtio stream"
    device = "virtio-net-pci"

    def devices(self, number):
        server = "off" if number else "on"
        return ["-netdev", f"stream,id=net,server={server},addr.type=unix,"
                f"addr.path={self.folder}/wire",
                "-device", f"{self.device},netdev=net,mac=02:00:00:00:01:0{number},"
                "romfile="]


class E1000ePair(StreamPair):
    name = device = "e1000e"
    most_mtu = 9000


class IgbPair(StreamPair):
    name = device = "igb"
    most_mtu = 9000


class VhostPair(Pair):
    """DPDK's vhost, forwarding between two sockets on one core."""
    name = "vhost-user"
    options = "client=0,tso=1,legacy-ol-flags=1"

    def start_carrier(self):
        cores = ",".join(str(cpu) for cpu in sorted({machine.CLIENT, machine.DEVICE}))
        words = ["dpdk-testpmd", "--no-pci", "--no-shconf", "--no-huge", "-m", "256",
                 "--no-telemetry", "--lcores", f"0@({cores}),1@({cores})"]
        for number in range(2):
            words += ["--vdev", f"net_vhost{number},iface={self.socket(number)},"
                      f"{self.options}"]
        words += ["--", "--forward-mode=io", "--auto-start",
                  "--total-num-mbufs=16384", "--no-lsc-interrupt"]
        log = open(self.folder / "testpmd.log", "wb")
        self.testpmd = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log,
                                        stderr=log)
        self.carrier = self.testpmd.pid
        wait_until(lambda: all(self.socket(n).is_socket() for n in range(2)),
                   20, "dpdk-testpmd's sockets")

    def stop_carrier(self):
        self.testpmd.send_signal(signal.SIGKILL)
        self.testpmd.wait()

    @contextlib.contextmanager
    def at_work(self):
        self.testpmd.send_signal(signal.SIGCONT)
        yield
        self.testpmd.send_signal(signal.SIGSTOP)

    def socket(self, number):
        return self.folder / f"vhost{number}"

    def devices(self, number):
        return ["-chardev", f"socket,id=vhost,path={self.socket(number)}",
                "-netdev", "vhost-user,id=net,chardev=vhost",
                "-device", f"virtio-net-pci,netdev=net,mac=02:00:00:00:01:0{number},"
                "romfile="]
