# SPDX-License-Identifier: BSD-3-Clause
"""Debian's dpdk-testpmd with its net_ena driver, in guests of a kernel with VFIO
in no-IOMMU mode: two guests with a NIC each, on one switch."""
import json
import pathlib
import re
import time

import pytest

from guest import Card
from initramfs import SmallGuest, make_initramfs, programs
from nic import ena

QUEUES = 2
PMDS = pathlib.Path("/usr/lib/x86_64-linux-gnu/dpdk")
NEEDED = ("net_ena", "mempool_ring")     # the others are linked to it
MACS = ["02:00:00:00:03:00", "02:00:00:00:03:01"]
BIND = """
    chmod 755 /                 # or it loads no driver
    mkdir -p /var/run /dev/hugepages && mount -t hugetlbfs none /dev/hugepages
    echo 192 >/proc/sys/vm/nr_hugepages
    echo 1 >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode
    pci=$(basename $(ls -d /sys/bus/pci/drivers/ena/0000:*))
    echo $pci >/sys/bus/pci/drivers/ena/unbind
    echo vfio-pci >/sys/bus/pci/devices/$pci/driver_override
    echo $pci >/sys/bus/pci/drivers_probe
    ls /dev/vfio/noiommu-0"""


def dpdk_files():
    """testpmd, the drivers that it needs, and their libraries."""
    folder = next(PMDS.glob("pmds-*"))
    drivers = [next(folder.glob(f"librte_{name}.so.*.*")) for name in NEEDED]
    files = programs("/usr/bin/dpdk-testpmd", *map(str, drivers))
    for driver in drivers:
        del files[f"bin/{driver.name}"]
        files[f"pmds/{driver.name}"] = driver
    return files


class Console:
    """One testpmd, on the console of its guest."""

    def __init__(self, guest, peer):
        self.guest = guest
        guest.run(BIND)
        guest.send(f"dpdk-testpmd -l 0-1 --in-memory --no-telemetry -d /pmds -- -i "
                   f"--rxq={QUEUES} --txq={QUEUES} --nb-cores=1 "
                   f"--rss-udp --total-num-mbufs=8192 --txonly-multi-flow --eth-peer=0,{peer}")
        self.banner = guest.wait_for(rb"testpmd> $", 60).decode(errors="replace")

    def do(self, command, timeout=60):
        self.guest.send(command)
        said = self.guest.wait_for(rb"testpmd> $", timeout).decode(errors="replace")
        assert "Bad arguments" not in said and "Fail" not in said, said
        return said

    def forward(self, mode):
        self.do(f"set fwd {mode}")
        self.do("clear port xstats 0")
        self.do("clear port stats 0")
        self.do("start")

    def xstats(self):
        said = self.do("show port xstats 0")
        return {name: int(value) for name, value in
                re.findall(r"^(\w+): (\d+)", said.replace("\r", ""), re.M)}

    def stop(self):
        return self.do("stop")


@pytest.fixture(scope="module", params=[True, False], ids=["llq", "host"])
def pair(request, tmp_path_factory):
    """Two of them: the first sends, the second receives."""
    initramfs = make_initramfs(tmp_path_factory.mktemp("dpdk") / "initramfs",
                               dpdk_files())
    functions = [ena(f"eth{n}", mac=mac, switch="lan", pairs=QUEUES,
                     llq=request.param) for n, mac in enumerate(MACS)]
    with Card(functions) as card:
        guests = []
        try:
            for number in range(2):
                socket = str(card.folder / f"eth{number}.sock")
                device = {"driver": "vfio-user-pci",
                          "socket": {"type": "unix", "path": socket}}
                guests.append(SmallGuest(
                    initramfs, ["-device", json.dumps(device)], 1024, 2))
                guests[-1].start()
            for guest in guests:
                guest.wait_for_shell()
            yield [Console(guest, MACS[1 - n]) for n, guest in enumerate(guests)]
        finally:
            for guest in guests:
                guest.save_transcript()
                guest.kill()


def test_testpmd_starts(pair):
    for number, one in enumerate(pair):
        said = one.do("show port info 0")
        assert "net_ena" in said and MACS[number] in said.lower()
        assert "Link status: up" in said


def transmit(pair, mode, seconds=3):
    """The first sends to the second, which does something with it."""
    sender, receiver = pair
    receiver.forward(mode)
    sender.forward("txonly")
    time.sleep(seconds)
    sender.stop()
    time.sleep(0.5)
    found = sender.xstats(), receiver.xstats()
    receiver.stop()
    return found


def test_what_one_sends_the_other_receives_on_all_queues(pair):
    sent, got = transmit(pair, "rxonly")
    assert got["rx_good_packets"] > 1000
    assert sent["tx_good_packets"] >= got["rx_good_packets"]
    for queue in range(QUEUES):
        assert got[f"rx_q{queue}_packets"] > 100
    assert not got["rx_errors"] and not sent["tx_errors"]


def test_macswap_sends_back(pair):
    sent, got = transmit(pair, "macswap")
    assert got["rx_good_packets"] > 1000
    assert got["tx_good_packets"] > 1000


def test_port_stops_and_starts(pair):
    for _ in range(3):
        for one in pair:
            one.do("port stop 0")
            one.do("port start 0")
    assert transmit(pair, "rxonly", 1)[1]["rx_good_packets"] > 100


def test_port_is_reset(pair):
    for one in pair:
        one.do("port stop 0")
        one.do("port reset 0")
        one.do("port start 0")
    assert transmit(pair, "rxonly", 1)[1]["rx_good_packets"] > 100


def test_queues_and_mtu_change(pair):
    for one in pair:
        one.do("port stop 0")
        one.do("port config all rxq 1")
        one.do("port config all txq 1")
        one.do("port config mtu 0 9000")
        one.do("port start 0")
    assert transmit(pair, "rxonly", 1)[1]["rx_q0_packets"] > 100


def test_xstats_name_what_the_device_counts(pair):
    names = pair[1].xstats()
    for name in ("bw_in_allowance_exceeded", "pps_allowance_exceeded",
                 "wd_expired", "dev_start"):
        assert name in names, sorted(names)
    assert names["wd_expired"] == 0
