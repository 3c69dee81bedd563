# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own driver, of three kernels, with 1, 2 and 8 queues, with LLQ and
without: it comes up, each of ethtool's words does what it says, and traffic
passes afterwards.  All shapes are NICs of one guest, in pairs on a switch."""
import pathlib
import re

import pytest

import checks
import nic
from guest import (ROOT_IMAGE, Card, Guest, choose_kernel, copy_image, ebs,
                   wait_until)
from nic import Nic, ena

KERNELS = ["6.1", "6.12", "7.2"]
PUSH_BUFFER = pathlib.Path(nic.__file__).with_name("push_buffer.py")
# The queues of each pair of NICs; one has LLQ, its peer has not.
QUEUES = [1, 2, 8]
SHAPES = [(queues, llq) for queues in QUEUES for llq in (True, False)]


def name_of(queues, llq):
    return f"q{queues}{'llq' if llq else 'host'}"


def mac_of(number):
    return f"02:00:00:00:00:0{number}"


NAMES = [name_of(*shape) for shape in SHAPES]


@pytest.fixture(scope="module", params=KERNELS)
def nics(request, tmp_path_factory):
    """The NICs by name, in a guest with that kernel and eight processors."""
    folder = tmp_path_factory.mktemp("driver")
    root = copy_image(ROOT_IMAGE, folder / "root.img")
    choose_kernel(root, request.param)
    functions = [ebs("ebs0", root)]
    functions += [ena(name_of(queues, llq), mac=mac_of(number), pairs=queues,
                      llq=llq, switch=f"lan{queues}")
                  for number, (queues, llq) in enumerate(SHAPES)]
    # Without an HPET the clock of an emulated processor stands still after S3.
    with Card(functions) as card, Guest(
            card, options=["--cpus", "8"],
            qemu_options=["-machine", "hpet=on"]) as guest:
        guest.wait_for_shell()
        assert guest.run("uname -r").startswith(request.param + ".")
        nic.prepare(guest)
        nic.put_file(guest, "/run/push_buffer.py", PUSH_BUFFER.read_bytes())
        found = {}
        for number, (queues, llq) in enumerate(SHAPES):
            found[name_of(queues, llq)] = one = Nic(
                guest, name_of(queues, llq), mac_of(number), queues, 2 - llq)
            one.queues, one.has_llq, one.card = queues, llq, card
            one.kernel = tuple(map(int, request.param.split(".")))
            one.enter()
        for one in found.values():
            one.peer = found[name_of(one.queues, not one.has_llq)]
        yield found


@pytest.fixture(params=NAMES)
def one(request, nics):
    """Each NIC in turn."""
    return nics[request.param]


@pytest.fixture
def some(nics):
    """The largest, for words of ethtool that do not depend on the shape."""
    return nics[name_of(8, True)]


@pytest.fixture
def busy(nics):
    """One of the middle, for what does not depend on the shape."""
    return nics[name_of(2, True)]


@pytest.fixture(autouse=True)
def no_complaint(nics):
    yield
    guest = next(iter(nics.values())).guest
    try:
        nic.quiet_driver(guest)
    finally:
        nic.forget_log(guest)


def is_forgiven(nics):
    """What a test has provoked is forgotten before it is held against it."""
    nic.forget_log(next(iter(nics.values())).guest)


def test_interface_comes_up_with_its_queues(one):
    assert "driver: ena" in one.ethtool("-i eth0")
    assert f"Combined:	{one.queues}\n" in one.ethtool("-l eth0").split("Current")[1]
    assert int(one.run("cat /sys/class/net/eth0/mtu")) == 1500
    one.ping(one.peer)


def test_idle_nics_take_next_to_no_processor(nics):
    """All of them together, keep-alives included."""
    card = next(iter(nics.values())).card
    checks.idle(card, 2)                # what their coming up has begun
    assert checks.idle(card, 10) / 10 <= 0.01


def test_queues_lie_where_the_card_says(one):
    queues = nic.device(one.card, one.name)["queues"]
    places = [q["placement"] for q in queues if q["direction"] == "tx"]
    assert places == ["device" if one.has_llq else "host"] * one.queues


def test_tcp_passes_both_ways(one):
    nic.exchange(one, one.peer, 1)


def test_link_is_told(some):
    said = some.ethtool("eth0")
    checks.expect_lines(said, r"Speed: \d+Mb/s", r"Duplex: Full", r"Link detected: yes")


def test_offloads_are_on_and_can_be_turned(some):
    said = some.ethtool("-k eth0")
    checks.expect_lines(
        said, r"rx-checksumming: on", r"tx-checksumming: on",
        r"tcp-segmentation-offload: on", r"tx-tcp-segmentation: on",
        r"tx-tcp6-segmentation: on", r"receive-hashing: on",
        r"scatter-gather: on")
    some.ethtool("-K eth0 tso off tx off rx off")
    nic.exchange(some, some.peer, 1)
    some.ethtool("-K eth0 tso on tx on rx on")
    nic.exchange(some, some.peer, 1)


def rings(said):
    return {key: int(value) for key, value in
            re.findall(r"^(RX|TX):\s+(\d+)", said, re.M)}


def test_rings_change(one):
    said = one.ethtool("-g eth0")
    most, now = map(rings, said.split("Current hardware settings"))
    assert most["RX"] >= now["RX"] >= 256 and most["TX"] >= now["TX"] >= 256
    one.ethtool("-G eth0 rx 256 tx 256")
    assert rings(one.ethtool("-g eth0").split("Current")[1]) == {"RX": 256, "TX": 256}
    nic.exchange(one, one.peer, 1)
    one.ethtool(f"-G eth0 rx {most['RX']} tx {most['TX']}")
    nic.exchange(one, one.peer, 1)
    one.ethtool(f"-G eth0 rx {now['RX']} tx {now['TX']}")
    one.ping(one.peer)


def test_push_buffer_changes_where_there_is_one(one):
    if one.kernel < (6, 12):
        pytest.skip("this kernel's driver cannot")
    if not one.has_llq:
        assert one.push_buffer() == [0, 0]
        return
    short, long = 96, 224
    assert one.push_buffer() == [short, long]
    for size in (long, short):
        assert one.push_buffer(size) == [size, long]
        one.wait_for_carrier()
        assert nic.device(one.card, one.name)["llq"]["entry_bytes"] == size + 32
        nic.exchange(one, one.peer, 1)


def test_channels_change(one):
    if one.queues == 1:
        assert "Combined:	1" in one.ethtool("-l eth0").split("Current")[1]
        return
    for count in (1, one.queues // 2, one.queues):
        status, said = one.try_run(f"ethtool -L eth0 combined {count}")
        assert status == 0 or "unmodified" in said or "no channel" in said, said
        nic.exchange(one, one.peer, 1)


def test_coalescing_changes(some):
    some.ethtool("-C eth0 adaptive-rx off rx-usecs 64 tx-usecs 128")
    said = some.ethtool("-c eth0")
    checks.expect_lines(said, r"Adaptive RX: off", r"rx-usecs:\s+64", r"tx-usecs:\s+128")
    nic.exchange(some, some.peer, 1)
    some.ethtool("-C eth0 adaptive-rx on")
    nic.exchange(some, some.peer, 1)
    some.ethtool("-C eth0 adaptive-rx off rx-usecs 0 tx-usecs 0")
    some.ping(some.peer)


def used_queues(said):
    """Of the table that ethtool -x prints."""
    rows = re.findall(r"^ +\d+: +((?:\d+ *)+)$", said, re.M)
    return {int(queue) for row in rows for queue in row.split()}


def test_rss_table_changes(some):
    assert used_queues(some.ethtool("-x eth0")) == set(range(some.queues))
    if some.queues < 2:
        return
    some.ethtool("-X eth0 equal 1")
    assert used_queues(some.ethtool("-x eth0")) == {0}
    before = some.statistics()
    some.ping(some.peer)
    after = some.statistics()
    others = [name for name in after if re.fullmatch(r"queue_[1-9]\d*_rx_cnt", name)]
    assert all(before[name] == after[name] for name in others)
    weights = " ".join(["1", "2"] + ["0"] * (some.queues - 2))
    some.ethtool(f"-X eth0 weight {weights}")
    assert used_queues(some.ethtool("-x eth0")) == {0, 1}
    nic.exchange(some, some.peer, 1)
    some.ethtool("-X eth0 default")
    assert used_queues(some.ethtool("-x eth0")) == set(range(some.queues))


KEY = ":".join(f"{7 * number % 256:02x}" for number in range(1, 41))


def test_rss_key_and_function_change(some):
    assert re.search(r"toeplitz: on", some.ethtool("-x eth0"))
    some.ethtool(f"-X eth0 hkey {KEY}")
    assert KEY in some.ethtool("-x eth0")
    nic.exchange(some, some.peer, 1)
    # The card has no other function, and the driver says so in its log.
    assert some.try_run("ethtool -X eth0 hfunc crc32")[0] != 0
    nic.forget_log(some.guest)
    nic.exchange(some, some.peer, 1)


def test_rss_inputs_change(some):
    for flow, inputs in (("tcp4", "sdfn"), ("udp4", "sdfn"), ("tcp6", "sdfn")):
        assert "IP SA" in some.ethtool(f"-n eth0 rx-flow-hash {flow}")
        status, said = some.try_run(f"ethtool -N eth0 rx-flow-hash {flow} sd")
        assert status == 0, said
        assert "L4" not in some.ethtool(f"-n eth0 rx-flow-hash {flow}")
        some.ethtool(f"-N eth0 rx-flow-hash {flow} {inputs}")
        assert "L4 bytes 0 & 1" in some.ethtool(f"-n eth0 rx-flow-hash {flow}")
    nic.exchange(some, some.peer, 1)


def test_flows_are_spread_over_queues(some):
    before = some.statistics()
    some.peer.serve()
    some.serve()
    some.peer.iperf(some, 2, "-P 16")
    after = some.statistics()
    used = [number for number in range(some.queues)
            if after[f"queue_{number}_rx_cnt"] - before[f"queue_{number}_rx_cnt"] > 10]
    assert len(used) >= min(some.queues, 3), used


def test_flow_rules_are_not_of_this_driver(some):
    status, said = some.try_run("ethtool -N eth0 flow-type tcp4 dst-port 80 action 0")
    assert status != 0 and "not supported" in said
    some.try_run("ethtool -n eth0")
    nic.forget_log(some.guest)           # it says there that it cannot


def test_time_stamps_are_as_the_driver_has_them(some):
    checks.expect_lines(some.ethtool("-T eth0"), r"software-transmit|SOF_TIMESTAMPING_TX_SOFTWARE|"
                        r"software-receive")


def test_statistics_count_what_passes(some):
    before, links = some.statistics(), some.links()["stats64"]
    nic.exchange(some, some.peer, 1)
    after, linked = some.statistics(), some.links()["stats64"]
    for way in ("rx", "tx"):
        got = sum(after[f"queue_{n}_{way}_cnt"] - before[f"queue_{n}_{way}_cnt"]
                  for n in range(some.queues))
        assert got > 100, way
        assert linked[way]["bytes"] > links[way]["bytes"]
    names = {name.removeprefix("bw_") for name in after if "allowance" in name}
    assert "in_allowance_exceeded" in names and "pps_allowance_exceeded" in names
    for name in ("tx_timeout", "wd_expired", "admin_q_pause", "ena_admin_q_no_completion"):
        assert after.get(name, 0) == 0, name
    assert all(value == 0 for name, value in after.items()
               if re.search("bad_req_id|bad_desc_num|csum_bad|prepare_ctx_err", name))
    assert after["queue_0_rx_csum_good"] + sum(
        after[f"queue_{n}_rx_csum_good"] for n in range(some.queues)) > 0


def test_mtu_changes(some):
    try:
        for mtu in (9000, 9216, 1500, 576, 1280):
            for each in (some, some.peer):
                each.run(f"ip link set eth0 mtu {mtu}")
            some.run(f"ping -q -c 2 -i 0.2 -W 5 -M do -s {mtu - 28} {some.peer.ipv4}")
        status, _ = some.try_run("ip link set eth0 mtu 9217")
        assert status != 0
    finally:
        for each in (some, some.peer):
            each.run("ip link set eth0 mtu 1500")
            each.set_up()               # below 1280 there is no IPv6
    some.ping(some.peer)


def test_link_flaps_from_inside(some):
    for _ in range(4):
        some.run("ip link set eth0 down")
        some.set_up()
    nic.exchange(some, some.peer, 1)


def test_link_flaps_from_outside(busy):
    busy.card.ctl("link", busy.name, "down")
    wait_until(lambda: not busy.has_carrier(), 10, "carrier is lost")
    busy.card.ctl("link", busy.name, "up")
    busy.wait_for_carrier()
    nic.exchange(busy, busy.peer, 1)


@pytest.mark.parametrize("queues", [2, 8])
def test_xdp_passes_and_drops(nics, queues):
    one = nics[name_of(queues, True)]
    nic.put_file(one.guest, "/run/pass.o", nic.bpf_object(2))
    nic.put_file(one.guest, "/run/drop.o", nic.bpf_object(1))
    # The queues that XDP sends by are as many as there are channels.
    one.ethtool(f"-L eth0 combined {queues // 2}")
    one.run("ip link set eth0 mtu 1500")
    one.run("ip link set dev eth0 xdpdrv obj /run/pass.o sec xdp")
    nic.exchange(one, one.peer, 1)
    assert sum(value for name, value in one.statistics().items()
               if name.endswith("xdp_pass")) > 10
    one.run("ip link set dev eth0 xdpdrv off")
    one.run("ip link set dev eth0 xdpdrv obj /run/drop.o sec xdp")
    status, _ = one.try_run(f"ping -q -c 2 -W 1 {one.peer.ipv4}")
    assert status != 0
    assert sum(value for name, value in one.statistics().items()
               if name.endswith("xdp_drop")) > 0
    one.run("ip link set dev eth0 xdpdrv off")
    one.ethtool(f"-L eth0 combined {queues}")
    nic.exchange(one, one.peer, 1)


def all_again(nics):
    for one in nics.values():
        one.enter(60)
    for one in nics.values():
        one.ping(one.peer)


def test_module_is_loaded_again(nics):
    guest = next(iter(nics.values())).guest
    for _ in range(2):
        guest.run("modprobe -r ena && modprobe ena", 120)
        all_again(nics)
    # 6.1 keeps XDP's rings in mind when XDP is off, and wonders on its way out.
    found = nic.complaints(next(iter(nics.values())).guest)
    if next(iter(nics.values())).kernel < (6, 12) and all(
            "WARNING" not in line or "ena_del_napi_in_range" in line for line in found):
        is_forgiven(nics)


def test_function_is_unbound_and_bound(nics, busy):
    guest = busy.guest
    device = busy.run("basename $(readlink -f /sys/class/net/eth0/device)").strip()
    guest.run(f"cd {nic.DRIVER} && echo {device} > unbind && echo {device} > bind")
    busy.enter()
    nic.exchange(busy, busy.peer, 1)


def test_guest_sleeps_and_wakes(nics):
    guest = next(iter(nics.values())).guest
    guest.send("sleep 1; echo mem > /sys/power/state; echo @awake")
    wait_until(lambda: guest.monitor.execute("query-status")["status"]
                    == "suspended", 60, "the guest sleeps")
    guest.monitor.execute("system_wakeup")
    guest.wait_for(rb"@awake\r?\n", 120)
    for one in nics.values():
        one.wait_for_carrier(60)
        one.set_up()
        one.ping(one.peer)


def test_clock_of_the_card_can_be_read(nics, busy):
    if busy.kernel < (7, 2):
        pytest.skip("this kernel's driver has no PHC")
    device = busy.run("basename $(readlink -f /sys/class/net/eth0/device)").strip()
    # devlink stays where the device was found.
    busy.guest.run(f"devlink dev param set pci/{device} name enable_phc value true "
             "cmode driverinit")
    busy.guest.run(f"devlink dev reload pci/{device}", 120)
    busy.set_up()
    index = re.search(r"(?:PTP Hardware Clock|Hardware timestamp provider index): (\d+)",
                      busy.ethtool("-T eth0"))
    assert index, busy.ethtool("-T eth0")
    said = busy.guest.run(f"""python3 - <<'@PY'
import os, time
clock = (~os.open("/dev/ptp{index[1]}", os.O_RDONLY) << 3) | 3
reads = []
for _ in range(20):
    time.sleep(0.05)
    try:
        reads.append(time.clock_gettime_ns(clock))
    except OSError as why:
        print("failed", why)
print(reads == sorted(reads), len(reads), reads[-1] - time.time_ns())
@PY""")
    rising, count, apart = said.split("\n")[-2].split()
    assert rising == "True" and int(count) >= 10, said
    assert abs(int(apart)) < 120e9, said
    nic.exchange(busy, busy.peer, 1)
