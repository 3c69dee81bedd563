# SPDX-License-Identifier: BSD-3-Clause
"""Two guests on one card, and what they say to each other through its switch.
NITRO_SOAK_SECONDS makes it long."""
import os

import pytest

import nic
from guest import ROOT_IMAGE, Card, Guest, copy_image, ebs
from nic import Nic, ena

SECONDS = int(os.environ.get("NITRO_SOAK_SECONDS", "20"))
MOST_LOST = 50              # of a hundred datagrams: a guest may be slow to take them
MTUS = [1500, 9001]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A NIC in each of two guests."""
    folder = tmp_path_factory.mktemp("traffic")
    functions = []
    for number in range(2):
        root = copy_image(ROOT_IMAGE, folder / f"root{number}.img")
        functions += [
            ebs(f"ebs{number}", root, f"vol-00000000000000b0{number}"),
            ena(f"eth{number}", mac=f"02:00:00:00:01:0{number}", switch="lan",
                pairs=2)]
    with Card(functions) as card:
        guests = [Guest(card, options=["--function", f"ebs{number}",
                                       "--function", f"eth{number}"])
                  for number in range(2)]
        try:
            yield bring_up(card, guests)
        except BaseException:
            for guest in guests:
                guest.save_transcript()
            raise
        finally:
            for guest in guests:
                guest.kill()


def bring_up(card, guests):
    for guest in guests:
        guest.start()
    nics = []
    for number, guest in enumerate(guests):
        guest.wait_for_shell()
        nic.prepare(guest)
        one = Nic(guest, f"eth{number}", f"02:00:00:00:01:0{number}", 0, number + 1)
        one.card = card
        one.enter()
        one.serve()
        nics.append(one)
    return nics


@pytest.fixture(autouse=True)
def no_reset(pair):
    before = [nic.resets(one.card, one.name) for one in pair]
    yield
    for one, resets in zip(pair, before):
        nic.quiet_driver(one.guest)
        nic.nothing_missing(one)
        assert nic.resets(one.card, one.name) == resets


def set_mtu(pair, mtu):
    for one in pair:
        one.run(f"ip link set eth0 mtu {mtu}")
    pair[0].run(f"ping -q -c 1 -W 5 -M do -s {mtu - 28} {pair[1].ipv4}")


@pytest.mark.parametrize("mtu", MTUS)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("options", ["", "-R", "-P 4", "--bidir"])
def test_tcp(pair, mtu, version, options):
    set_mtu(pair, mtu)
    done = pair[0].iperf(pair[1], 2, options, version)
    assert done["sum_received"]["bytes"] > 1 << 20
    assert done["sum_received"]["bytes"] <= done["sum_sent"]["bytes"]


@pytest.mark.parametrize("mtu", MTUS)
@pytest.mark.parametrize("version", [4, 6])
def test_udp(pair, mtu, version):
    set_mtu(pair, mtu)
    for size in (64, mtu - 48, 32000):      # the last in fragments
        done = pair[0].iperf(pair[1], 2, f"-u -b 20M -l {size}", version)["sum"]
        assert done["packets"] > 10
        assert done["lost_percent"] < MOST_LOST


@pytest.mark.timeout(SECONDS + 600)
def test_soak(pair):
    """All at once, in both directions, for long."""
    set_mtu(pair, 9001)
    one, other = pair
    other.run(f"iperf3 -s -D -p 5202; iperf3 -s -D -p 5203")
    jobs = (f"-p 5201 --bidir -P 2 -c {other.ipv4}",
            f"-p 5202 -M 1000 -c {other.ipv6}",
            f"-p 5203 -u -b 10M -l 1400 -c {other.ipv4}")
    lines = [f"iperf3 -t {SECONDS} -i 0 {job} >/run/iperf.{number} & jobs[{number}]=$!"
             for number, job in enumerate(jobs)]
    lines += ["status=0; for job in ${jobs[@]}; do wait $job || status=1; done",
              "cat /run/iperf.*; exit $status"]
    print(one.run("\n".join(lines), 3 * SECONDS + 120))
