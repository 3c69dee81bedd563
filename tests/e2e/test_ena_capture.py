# SPDX-License-Identifier: BSD-3-Clause
"""What a capture at the card's port shows, and what tcpdump shows in the guest:
every frame as on a wire, with every checksum right."""
import subprocess

import pytest

import nic
from guest import ROOT_IMAGE, Card, Guest, copy_image, ebs
from nic import Nic, ena

CHECK = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
         "-o", "udp.check_checksum:TRUE"]
BAD = ("ip.checksum.status == Bad || tcp.checksum.status == Bad || "
       "udp.checksum.status == Bad || icmpv6.checksum.status == Bad || "
       "icmp.checksum.status == Bad")


class Traffic:
    """Two NICs of a guest, what they said, and what was recorded of it."""

    def __init__(self, folder):
        self.file = folder / "wire.pcapng"
        self.seen = {}              # what tcpdump said, by MTU and family

    def make(self, folder):
        root = copy_image(ROOT_IMAGE, folder / "root.img")
        functions = [ebs("ebs0", root)]
        functions += [ena(f"eth{n}", mac=f"02:00:00:00:02:0{n}", switch="lan",
                          capture=str(self.file)) for n in range(2)]
        with Card(functions) as card, Guest(card) as guest:
            guest.wait_for_shell()
            nic.prepare(guest)
            nics = [Nic(guest, f"eth{n}", f"02:00:00:00:02:0{n}", 0, n + 1)
                    for n in range(2)]
            for one in nics:
                one.enter()
                one.serve()
                # Frames as they came, and not what the kernel made of them.
                one.ethtool("-K eth0 gro off")
            for mtu in (1500, 9001):
                self.talk(nics, mtu)
            nic.quiet_driver(guest)
        return self

    def talk(self, nics, mtu):
        for one in nics:
            one.run(f"ip link set eth0 mtu {mtu}")
        for version in (4, 6):
            self.seen[mtu, version] = self.listen(nics, version, mtu)

    def listen(self, nics, version, mtu):
        one, other = nics
        address = other.ipv4 if version == 4 else other.ipv6
        return other.run(f"""
            timeout 120 tcpdump -i eth0 -Q in -n -vv -s 0 -c 400 \\
                '{"ip" if version == 4 else "ip6"} and (tcp or udp or ip6[40] != 0)' \\
                >/run/seen 2>/run/said & dump=$!
            until grep -q listening /run/said; do sleep 0.2; done
            ip netns exec {one.name} ping -q -c 2 -i 0.2 -s {mtu - 100} {address}
            ip netns exec {one.name} iperf3 -u -b 4M -l 1000 -t 1 -c {address}
            ip netns exec {one.name} iperf3 -u -b 4M -l 20000 -t 1 -c {address}
            ip netns exec {one.name} iperf3 -n 8M -c {address}
            ip netns exec {one.name} ethtool -K eth0 tso off
            ip netns exec {one.name} iperf3 -n 1M -c {address}
            ip netns exec {one.name} ethtool -K eth0 tso on
            sleep 1; kill $dump 2>/dev/null; wait $dump; cat /run/said /run/seen
            """, 240)


@pytest.fixture(scope="module")
def traffic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture")
    return Traffic(folder).make(folder)


def tshark(traffic, *words):
    done = subprocess.run(["tshark", "-r", traffic.file, *CHECK, *words],
                          capture_output=True, text=True, timeout=300)
    complaints = [line for line in done.stderr.splitlines() if "as user" not in line]
    assert done.returncode == 0 and not complaints, done.stderr
    return done.stdout


def test_tcpdump_in_the_guest_finds_no_bad_checksum(traffic):
    for key, said in traffic.seen.items():
        assert "cksum" in said, said
        for words in ("incorrect", "bad cksum", "bad udp cksum", "wrong"):
            assert words not in said, key


def test_tshark_reads_the_capture(traffic):
    assert len(tshark(traffic, "-T", "fields", "-e", "frame.number").split()) > 500


def test_every_checksum_on_the_wire_is_right(traffic):
    assert tshark(traffic, "-Y", BAD) == ""
    assert tshark(traffic, "-Y", "tcp.checksum.status == Good", "-c", "100")


def test_frames_are_of_the_mtu_or_less(traffic):
    sizes = set(map(int, tshark(traffic, "-T", "fields", "-e", "frame.len").split()))
    assert max(sizes) == 9001 + 14
    # What is sent again may be cut otherwise, which is no frame's fault.
    assert tshark(traffic, "-o", "tcp.desegment_tcp_streams:FALSE",
                  "-Y", "_ws.malformed") == ""


def test_interfaces_are_named(traffic):
    names = set(tshark(traffic, "-T", "fields", "-e", "frame.interface_name").split())
    assert names == {"eth0", "eth1"}


def test_frames_know_their_direction(traffic):
    said = tshark(traffic, "-T", "fields", "-e", "frame.packet_flags_direction")
    assert len(set(said.split())) == 2


def test_stamps_do_not_go_back(traffic):
    said = tshark(traffic, "-T", "fields", "-e", "frame.interface_name",
                  "-e", "frame.time_epoch")
    stamps = {}
    for line in said.splitlines():
        name, stamp = line.split("\t")
        assert stamps.get(name, "") <= stamp
        stamps[name] = stamp
