# SPDX-License-Identifier: BSD-3-Clause
"""NICs of the card in a guest.

Each NIC of a guest has a network namespace of its own and is eth0 in it.  So two
NICs of one guest talk through the card's switch as two machines do.
"""
import base64
import json
import re
import subprocess
import tempfile

from guest import Failure, wait_until

DRIVER = "/sys/bus/pci/drivers/ena"
# What the driver says of good devices.
NO_COMPLAINT = (
    # Of one that was configured to have none.
    "LLQ is not supported Fallback to host mode policy.",
    # Of a question of the kernel's own (ETHTOOL_GRXCLSRLCNT) at ethtool -L.
    "Command parameter 46 is not supported",
)


def ena(name, **keys):
    """One function of card.yaml."""
    return {"ena": {"name": name, **{key.replace("_", "-"): value
                                     for key, value in keys.items()}}}


def prepare(guest):
    """Nobody but the test is to configure NICs in this guest."""
    guest.run("systemctl mask --runtime --quiet systemd-networkd.service "
              "systemd-networkd.socket resolv.path; "
              "systemctl stop systemd-networkd.socket systemd-networkd 2>/dev/null; true")


def interfaces(guest):
    """The names of the driver's interfaces by MAC, outside of namespaces."""
    said = guest.run(f"cd /sys/class/net; for i in *; do "
                     f"[ -e {DRIVER}/$(basename $(readlink -f $i/device)) ] && "
                     "echo $i $(cat $i/address); done; true")
    return {mac: name for name, mac in re.findall(r"^(\S+) (\S+:\S+)$", said, re.M)}


class Nic:
    """One NIC of the guest: address 10.0.N.HOST and fd00:N::HOST."""

    def __init__(self, guest, name, mac, network=0, host=1):
        self.guest, self.name, self.mac = guest, name, mac
        self.ipv4 = f"10.0.{network}.{host}"
        self.ipv6 = f"fd00:{network}::{host}"

    def enter(self, timeout=30):
        """Wait for the interface, take it into its namespace, bring it up."""
        wait_until(lambda: self.mac in interfaces(self.guest), timeout,
                   f"an interface with {self.mac}")
        old = interfaces(self.guest)[self.mac]
        self.guest.run(f"""
            ip netns add {self.name} 2>/dev/null
            ip link set {old} down
            ip link set {old} netns {self.name} name eth0 || exit
            sysctl -q net.ipv6.conf.all.accept_dad=0""")
        self.set_up()

    def set_up(self):
        self.run(f"""sysctl -q net.ipv6.conf.eth0.accept_dad=0
            ip link set lo up
            ip addr replace {self.ipv4}/24 dev eth0
            ip link set eth0 up || exit
            ip addr replace {self.ipv6}/64 dev eth0 nodad""")
        self.wait_for_carrier()

    def wait_for_carrier(self, timeout=20):
        wait_until(self.has_carrier, timeout, f"{self.name}: the link is up")

    def has_carrier(self):
        status, said = self.try_run("cat /sys/class/net/eth0/carrier")
        return status == 0 and said.strip() == "1"

    def run(self, command, timeout=60):
        status, said = self.try_run(command, timeout)
        if status:
            raise Failure(f"{self.name}: {command}\nended with {status}:\n{said}")
        return said

    def try_run(self, command, timeout=60):
        # sysfs shows the interfaces of the namespace in which it was mounted.
        return self.guest.try_run(
            f"ip netns exec {self.name} bash <<'@END'\n{command}\n@END", timeout)

    def push_buffer(self, size=""):
        """Bytes of headers that LLQ takes, and the most; or first set them."""
        return [int(n) for n in
                self.run(f"python3 /run/push_buffer.py eth0 {size}").split()]

    def ethtool(self, words):
        return self.run(f"ethtool {words}")

    def statistics(self):
        """ethtool -S, as numbers by name."""
        return {name: int(value) for name, value in re.findall(
            r"^ +(\S+): (\d+)$", self.ethtool("-S eth0"), re.M)}

    def links(self):
        """ip -s link, as the kernel's own counters."""
        return json.loads(self.run("ip -s -j link show dev eth0"))[0]

    def ping(self, other, count=3, size=56, options=""):
        for address in other.ipv4, other.ipv6:
            self.run(f"ping -q -c {count} -i 0.2 -W 5 -s {size} {options} {address}",
                     60 + 5 * count)

    def serve(self):
        """An iperf3 server, until the guest ends."""
        self.run("pgrep -x iperf3 -a | grep -q -- '-s -D --pidfile "
                 f"/run/iperf-{self.name}' || "
                 f"iperf3 -s -D --pidfile /run/iperf-{self.name}")

    def iperf(self, other, seconds=2, options="", version=4):
        """What iperf3 sends to the other; its report's end."""
        address = other.ipv4 if version == 4 else other.ipv6
        said = self.run(f"iperf3 -J -c {address} -t {seconds} {options}",
                        6 * seconds + 90)
        report = json.loads(said[said.index("{"):])     # after its warnings
        if "error" in report:
            raise Failure(f"iperf3: {report['error']}")
        return report["end"]


def exchange(one, other, seconds=2):
    """TCP both ways; Gbit/s there and back.  Nothing may be lost for good."""
    other.serve()
    rates = []
    for options in "", "-R":
        done = one.iperf(other, seconds, options)["sum_received"]
        if not done["bytes"]:
            raise Failure(f"{one.name} and {other.name}: no data {options}")
        rates.append(done["bits_per_second"] / 1e9)
    return rates


def complaints(guest):
    """What the ENA driver, or the network above it, complains about."""
    text = guest.run("dmesg --level=emerg,alert,crit,err,warn")
    return [line for line in text.splitlines()
            if re.search(r"\bena\b|NETDEV WATCHDOG|WARNING:|BUG:|Call Trace", line)
            and not any(words in line for words in NO_COMPLAINT)]


def quiet_driver(guest):
    lines = complaints(guest)
    if lines:
        raise Failure("the driver complains:\n" + "\n".join(lines))


def log_of_driver(guest):
    return guest.run("dmesg | grep -E '\\bena\\b|NETDEV WATCHDOG' || true")


def forget_log(guest):
    guest.run("dmesg -C")


def device(card, name):
    """The card's own view of a NIC: its queues, what it was told and asked."""
    return json.loads(card.ctl("queues", name, "--json"))


def resets(card, name, reason=None):
    """How often the driver has reset the device, and for that reason."""
    found = device(card, name)["resets"]
    return found.get(reason, 0) if reason else sum(found.values())


def counters(card, name):
    """The card's counters of a NIC."""
    found = re.findall(rf'^nitro_ena_(\w+)_total{{function="{name}"}} (\d+)',
                       card.ctl("metrics"), re.M)
    return {key: int(value) for key, value in found}


def bpf_object(action):
    """An XDP program that answers each frame with an action of enum xdp_action,
    as an ELF file."""
    source = ("__attribute__((section(\"xdp\"), used)) "
              f"int answer(void *frame) {{ return {action}; }}\n"
              "char words[] __attribute__((section(\"license\"), used)) = \"GPL\";\n")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["clang-14", "-target", "bpf", "-O2", "-x", "c", "-c", "-",
                        "-o", f"{folder}/xdp.o"], input=source.encode(), check=True)
        with open(f"{folder}/xdp.o", "rb") as file:
            return file.read()


def put_file(guest, path, data):
    text = base64.b64encode(data).decode()
    guest.run(f"base64 -d > {path} <<'@FILE'\n" +
              "\n".join(re.findall(".{1,76}", text)) + "\n@FILE")


def nothing_missing(one):
    """No completion is missing, and the driver has found nothing wrong."""
    wrong = {name: value for name, value in one.statistics().items()
             if value and (name in ("tx_timeout", "wd_expired", "reset_fail") or
                           name.endswith(WRONG))}
    if wrong:
        raise Failure(f"{one.name}: {wrong}")


WRONG = ("missed_tx", "bad_req_id", "bad_desc_num", "csum_bad", "prepare_ctx_err",
         "no_completion", "aborted_cmd")
