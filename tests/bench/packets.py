# SPDX-License-Identifier: BSD-3-Clause
"""Packets per second without a guest: a driver of our NIC on one processor and
the card on the other, beside DPDK's virtio-user and vhost on the same two.

Each side counts packets that have crossed the device:
  tx       from the driver: our uplink `null` counts headers and reads nothing;
           vhost copies each packet to its own memory, and forgets it
  rx       to the driver: `generate` sends what was made once, but our NIC
           verifies both checksums and hashes; vhost copies what it made
  forward  from the driver and back to it: ours from one NIC to the other, both
           ways at once and added; vhost gives back what it took"""
import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass

import instructions
import machine
from figures import compare
from guest import Failure, wait_until

DEPTH = 512                             # of our driver; rings have 1024
HUGE_PAGES = 4 * 128 + 64               # of 2 MiB, for DPDK's processes and ours
HUGE = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
HUGE_FREE = HUGE.with_name("free_hugepages")


@dataclass(frozen=True)
class Job:
    way: str
    size: int

    @property
    def name(self):
        return f"nic/{self.way}-{self.size}"

    @property
    def bs(self):
        return str(self.size)

    def words(self):
        """nitro-perf's."""
        rw = "txrx" if self.way == "forward" else self.way
        return [f"--rw={rw}", f"--bs={self.size}", f"--iodepth={DEPTH}"]

    def functions(self):
        """Of the card's configuration."""
        if self.way == "forward":
            return [{"ena": {"name": f"eth{n}", "switch": "lan"}} for n in range(2)]
        uplink = {"null": True} if self.way == "tx" else {"generate": self.size}
        return [{"ena": {"name": "eth0", "uplink": uplink}}]


JOBS = (Job("tx", 64), Job("rx", 64), Job("forward", 64), Job("tx", 1500),
        Job("rx", 1500), Job("tx", 9000), Job("rx", 9000))
WHAT = {"tx": "sending, beside DPDK's virtio-user and vhost",
        "rx": "receiving, likewise",
        "forward": "out of the driver and back to it, likewise"}


def cases(is_quick):
    return () if is_quick else [
        (job.name, f"frames of {job.size} bytes, {WHAT[job.way]}") for job in JOBS]


def run(plan, table):
    chosen = [job for job in JOBS if not plan.is_quick and plan.has(job.name)]
    if not chosen:
        return
    with huge_pages(table) as has_huge_pages:
        for job in chosen:
            try:
                run_job(plan, table, job, has_huge_pages)
            except (Failure, OSError, ValueError, subprocess.TimeoutExpired) as why:
                table.say(f"{job.name}: not measured: {str(why).splitlines()[0]}")


def run_job(plan, table, job, has_huge_pages):
    """All of them are there for as long as it takes; one at a time runs."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(OurCard(job))
        rivals = []
        for ring in ("split", "packed"):
            try:
                rivals.append(stack.enter_context(Vhost(job, ring, has_huge_pages)))
            except (Failure, OSError) as why:
                table.say(f"{job.name}: no vhost {ring}: {str(why).splitlines()[0]}")
        found = {who: [] for who in (ours, *rivals)}
        for number in range(plan.rounds):
            for who in found:
                table.progress(f"{job.name}: round {number + 1} of {plan.rounds}")
                with who.at_work():
                    found[who].append(who.measure(plan.seconds))
    count = instructions_of(table, job)
    for rival in rivals:
        table.add(compare(job.name, "Mpps", found[ours], rival.name, found[rival],
                          count))


def instructions_of(table, job):
    """Of the card, for each packet; None where they are not counted."""
    if job.size != 64 or job.way == "forward":
        return None
    table.progress(f"{job.name}: counts instructions")
    try:
        return instructions.per_io(job.functions()[0], "eth0", job, 3)
    except (Failure, OSError, subprocess.TimeoutExpired) as why:
        table.say(f"{job.name}: instructions not counted: "
                  f"{str(why).splitlines()[0]}")
        return None


@contextlib.contextmanager
def huge_pages(table):
    """Enough of them for DPDK, put back afterwards; False: it must do without."""
    before = None
    try:
        before = int(HUGE.read_text())
        if int(HUGE_FREE.read_text()) < HUGE_PAGES:
            HUGE.write_text(str(before + HUGE_PAGES))
        is_enough = int(HUGE_FREE.read_text()) >= HUGE_PAGES
    except OSError:
        is_enough = False
    if not is_enough:
        table.say("nic: no huge pages to be had: DPDK does without (--no-huge)")
    try:
        yield is_enough
    finally:
        with contextlib.suppress(OSError):
            if before is not None and int(HUGE.read_text()) != before:
                HUGE.write_text(str(before))


class OurCard:
    """nitro-card on its processor, nitro-perf on the client's."""

    def __init__(self, job):
        self.job = job
        self.card = machine.PinnedCard(job.functions(), {"workers": 1})

    def __enter__(self):
        self.card.__enter__()
        return self

    def __exit__(self, *why):
        self.card.__exit__(*why)

    @contextlib.contextmanager
    def at_work(self):
        yield                           # a card whose driver has gone rests

    def measure(self, seconds):
        folder = self.card.folder
        words = [machine.program("nitro-perf"), folder / "eth0.sock", "--json",
                 *self.job.words(), f"--runtime={seconds}",
                 f"--ramp_time={seconds * 200}ms"]
        if self.job.way == "forward":
            words.append(f"--peer={folder / 'eth1.sock'}")
        said = json.loads(machine.output_of(machine.pinned(machine.CLIENT, *words),
                                            seconds * 3 + 60))
        if self.job.way == "tx":
            return said["out"]["sent_pps"] / 1e6
        return (said["out"]["received_pps"] + said["back"]["received_pps"]) / 1e6


class Testpmd:
    """One of DPDK's processes: all of it on one processor."""

    def __init__(self, folder, name, processor, device, job, has_huge_pages):
        memory = ["-m", "256"] + ["--no-huge"] * (not has_huge_pages)
        # Frames are not cut into buffers, as ours are not.
        room = 2176 if job.size <= 2048 else 10240
        words = machine.pinned(
            processor, "stdbuf", "-oL", "dpdk-testpmd", "--no-pci",
            "--single-file-segments",
            "--no-telemetry", "--log-level=error",
            *(["--in-memory"] if has_huge_pages else ["--no-shconf"]), *memory,
            "--lcores", f"0@{processor},1@{processor}", "--vdev", device, "--", "-i",
            "--nb-cores=1", "--rxq=1", "--txq=1", "--rxd=1024", "--txd=1024",
            f"--mbuf-size={room}", "--total-num-mbufs=8192", "--no-lsc-interrupt",
            f"--txpkts={job.size}", f"--max-pkt-len={max(job.size + 18, 1518)}")
        self.name = name
        self.log = folder / f"{name}.log"
        self.process = subprocess.Popen(
            list(map(str, words)), stdin=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdout=open(self.log, "wb"), text=True)

    def ask(self, text, answer="testpmd>"):
        """Say it, and wait for what it prints then."""
        before = self.log.stat().st_size
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        return self.wait_for(answer, before)

    def wait_for(self, answer, before=0):
        found = None

        def is_there():
            nonlocal found
            said = self.log.read_bytes()[before:].decode(errors="replace")
            found = re.search(answer, said)
            if not found and self.process.poll() is not None:
                raise Failure(f"dpdk-testpmd: {(said.split(chr(10)) or [''])[-1]}")
            return found

        wait_until(is_there, 30, f"an answer of dpdk-testpmd ({self.name})")
        return found

    def rate(self):
        """Packets received per second since it was last asked."""
        return int(self.ask("show port stats 0", r"Rx-pps: +(\d+) ")[1])

    def end(self):
        self.process.kill()
        self.process.wait()


class Vhost:
    """DPDK's vhost for the device, and its virtio-user for the driver."""

    # Driver and device, and where packets are counted.
    MODES = {"tx": ("txonly", "rxonly"), "rx": ("rxonly", "txonly"),
             "forward": ("io", "io")}

    def __init__(self, job, ring, has_huge_pages):
        self.job, self.ring, self.has_huge_pages = job, ring, has_huge_pages
        self.name = f"vhost {ring}"
        self.processes = []

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-vhost-"))
        socket = self.folder / "sock"
        try:
            self.device = self.open("device", machine.DEVICE,
                                    f"net_vhost0,iface={socket},queues=1")
            self.driver = self.open(
                "driver", machine.CLIENT,
                f"net_virtio_user0,path={socket},queue_size=1024,"
                f"packed_vq={int(self.ring == 'packed')}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def open(self, name, processor, device):
        self.processes.append(Testpmd(self.folder, name, processor, device, self.job,
                                      self.has_huge_pages))
        self.processes[-1].wait_for("testpmd>")
        return self.processes[-1]

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def at_work(self):
        driver_mode, device_mode = self.MODES[self.job.way]
        self.device.ask(f"set fwd {device_mode}")
        self.driver.ask(f"set fwd {driver_mode}")
        self.device.ask("start")
        # What goes round must be there first: DEPTH packets, in bursts of 32.
        first = f" tx_first {DEPTH // 32}" if self.job.way == "forward" else ""
        self.driver.ask(f"start{first}")
        yield
        self.driver.ask("stop")
        self.device.ask("stop")

    def measure(self, seconds):
        receiver = self.device if self.job.way == "tx" else self.driver
        time.sleep(seconds * 0.2)
        receiver.rate()
        time.sleep(seconds)
        return receiver.rate() / 1e6
