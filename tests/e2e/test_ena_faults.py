# SPDX-License-Identifier: BSD-3-Clause
"""Each way in which a driver notices that its NIC is ill: provoked by the fault
point of that name, Linux's driver does what it does on EC2, and traffic passes
again.  Rows are those of the catalogue of watchdogs; short time-outs, of which
the device tells the driver, make it quick."""
import contextlib
import re
import time

import pytest

import nic
from guest import (ROOT_IMAGE, Card, Failure, Guest, choose_kernel, copy_image,
                   ebs, wait_until)
from nic import Nic, ena

KERNELS = ["7.2"]  # whose driver has all that can go wrong, the clock included
# The kernel leaves no more than some ten packets in a queue that does not move.
HINTS = {"keep-alive": 2500, "missing-tx": 1500, "missing-tx-count": 5,
         "admin": 600, "netdev": 4000}
MACS = ["02:00:00:00:04:00", "02:00:00:00:04:01"]

SO_SNDBUFFORCE = 32     # of Linux; Python has no name for it

# Why a driver resets a device, in the card's words.
KEEP_ALIVE = "no keep-alive"
ADMIN = "the admin queue timed out"
MISSING_TX = "sent packets were not completed"
RX_REQ_ID = "a receive completion's id"
TX_REQ_ID = "a transmit completion's id"
RX_DESCS = "too many buffers in a packet"
NETDEV = "a transmit queue stood still"
MISSING_INTERRUPT = "an interrupt was missed"
NORMAL = "normal"
RX_MALFORMED = NORMAL     # it has four bits for the reason, which is 16


class Victim(Nic):
    """The NIC that things are done to."""

    def fault(self, point, *options):
        self.card.ctl("faults", "set", self.name, point, *map(str, options))

    def heal(self):
        self.card.ctl("faults", "clear", self.name)

    def resets(self, *reasons):
        """How often the driver has reset the device for one of these."""
        return sum(nic.resets(self.card, self.name, reason) for reason in reasons)

    @contextlib.contextmanager
    def must_reset(self, *reasons, timeout=60):
        """What is done within makes the driver reset for one of these; then
        it is healed and traffic passes."""
        before = self.resets(*reasons)
        yield
        try:
            wait_until(lambda: self.resets(*reasons) > before, timeout,
                       f"a reset for {reasons}")
        except Failure as why:
            raise Failure(f"{why}\nbut {nic.device(self.card, self.name)['resets']}; "
                          "the driver said:\n"
                          + nic.log_of_driver(self.guest)) from why
        self.heal()
        self.must_recover()

    def must_recover(self):
        try:
            self.wait_for_carrier(60)
        except Failure as why:
            raise Failure(f"{why}; the driver said:\n"
                          + nic.log_of_driver(self.guest)) from why
        # The driver may be within the first of two resets.
        wait_until(lambda: self.try_run(f"ping -q -c 4 -i 0.5 -W 2 {self.peer.ipv4}"
                                        " | grep -q ' 0% packet loss'")[0] == 0,
                   60, f"{self.name}: traffic passes")
        self.wait_for_carrier(60)
        self.ping(self.peer)

    def send(self, count, wait=0.0):
        """Datagrams that nobody answers, from one flow."""
        self.run(f"""python3 - <<'@PY'
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setblocking(False)
s.setsockopt(socket.SOL_SOCKET, {SO_SNDBUFFORCE}, 1 << 24)
for _ in range({count}):
    try:
        s.sendto(b"x" * 64, ("{self.peer.ipv4}", 9))
    except OSError:
        pass
    time.sleep({wait})
@PY""", 120)

    def device(self):
        return self.run("basename $(readlink -f /sys/class/net/eth0/device)").strip()

    def bind(self, device, timeout=120):
        return self.guest.try_run(f"echo {device} > {nic.DRIVER}/bind", timeout)[0] == 0

    def unbind(self, device):
        self.guest.run(f"echo {device} > {nic.DRIVER}/unbind", 120)


@pytest.fixture(scope="module", params=KERNELS)
def nics(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    root = copy_image(ROOT_IMAGE, folder / "root.img")
    choose_kernel(root, request.param)
    functions = [ebs("ebs0", root)]
    functions += [ena(f"eth{n}", mac=mac, switch="lan", pairs=2, hints=HINTS)
                  for n, mac in enumerate(MACS)]
    with Card(functions) as card, Guest(card) as guest:
        guest.wait_for_shell()
        nic.prepare(guest)
        one, peer = (Victim(guest, f"eth{n}", mac, 0, n + 1)
                     for n, mac in enumerate(MACS))
        for each, other in (one, peer), (peer, one):
            each.card, each.peer = card, other
            each.kernel = tuple(map(int, request.param.split(".")))
            each.enter()
        yield one, peer


@pytest.fixture
def one(nics):
    """The victim, well, and again so afterwards."""
    one = nics[0]
    if not is_well(one):
        one.heal()
        one.guest.run("modprobe -r ena; modprobe ena", 120)
        for each in nics:
            each.enter(60)
    one.ping(one.peer)
    nic.forget_log(one.guest)
    yield one
    one.heal()


def is_well(one):
    try:
        return one.has_carrier() and one.try_run(
            f"ping -q -c 2 -i 0.2 -W 2 {one.peer.ipv4}")[0] == 0
    except Failure:
        return False


def log_has(one, *patterns):
    log = nic.log_of_driver(one.guest)
    for pattern in patterns:
        assert re.search(pattern, log), f"no /{pattern}/ in:\n{log}"


def test_row_1_no_keep_alive(one):
    with one.must_reset(KEEP_ALIVE):
        one.fault("keep_alive")
    log_has(one, "Keep alive watchdog timeout")


def test_row_2_keep_alive_without_interrupt(one):
    with one.must_reset(KEEP_ALIVE):
        one.fault("keep_alive_interrupt")


def test_row_3_admin_command_never_completes(one):
    with one.must_reset(ADMIN):
        # More, and the driver would give up over its own reset.
        one.fault("admin_stall", "--limit", 1)
        one.try_run("ethtool -S eth0")
    log_has(one, "didn't send a completion")


def test_row_4_admin_completion_without_interrupt(one):
    with one.must_reset(ADMIN, KEEP_ALIVE):
        # The interrupt of a keep-alive would do for it.
        one.fault("keep_alive_interrupt")
        one.fault("admin_interrupt")
        one.try_run("ethtool -S eth0")
    log_has(one, "didn't receive a MSI-X interrupt")


def test_row_5_admin_completion_of_nothing(one):
    with one.must_reset(ADMIN):
        one.fault("admin_id", "--value", 77, "--limit", 1)
        one.try_run("ethtool -S eth0")


def test_row_6_many_missing_tx_completions(one):
    # A queue that has never been busy is stopped after two or three packets.
    one.run("for q in /sys/class/net/eth0/queues/tx-*; do"
            " echo 1000000 > $q/byte_queue_limits/limit_min; done")
    one.peer.serve()
    one.iperf(one.peer, 1, "-P 8")
    with one.must_reset(MISSING_TX):
        one.fault("tx_stall", "--limit", 64)
        one.send(80)
    log_has(one, "wasn't completed on time|TX hasn't completed",
            "lost tx completions|Lost TX completions")


def test_row_7_few_missing_tx_completions_are_only_counted(one):
    before = one.resets(MISSING_TX, NETDEV)
    one.fault("tx_stall", "--limit", 3)
    one.send(6)
    wait_until(lambda: sum(value for name, value in one.statistics().items()
                           if name.endswith("missed_tx")) >= 1, 20, "missed_tx")
    assert one.resets(MISSING_TX, NETDEV) == before
    one.ping(one.peer)
    one.run("ip link set eth0 down")
    one.set_up()


def test_row_8_a_queue_that_stands_still(one):
    before = one.resets(MISSING_TX)
    with one.must_reset(NETDEV, timeout=90):
        one.ethtool("-G eth0 tx 256")
        one.fault("hints", "--value", 65535, "--limit", 1)
        time.sleep(2)
        one.fault("tx_stall")
        one.send(600)
    assert one.resets(MISSING_TX) == before


def begin_again(one):
    """A driver that has not had an interrupt of its queues yet."""
    device = one.device()
    one.unbind(device)
    assert one.bind(device)


def test_row_9_no_first_interrupt_of_a_receive_queue(one):
    with one.must_reset(MISSING_INTERRUPT):
        begin_again(one)
        one.fault("drop_interrupt")
        with contextlib.suppress(Failure):
            one.enter()
        one.peer.try_run(f"ip neigh replace {one.ipv4} lladdr {one.mac} dev eth0")
        one.peer.send(10)
        time.sleep(8)


def test_row_10_no_first_interrupt_of_a_transmit_queue(one):
    with one.must_reset(MISSING_INTERRUPT, MISSING_TX):
        begin_again(one)
        one.fault("drop_interrupt")
        with contextlib.suppress(Failure):
            one.enter()
        one.try_run(f"ip neigh replace {one.peer.ipv4} lladdr {one.peer.mac} dev eth0")
        one.send(5)
        time.sleep(4)


def test_row_11_an_interrupt_is_lost(one):
    """This driver only notices when packets are not sent in time."""
    with one.must_reset(MISSING_TX, NETDEV, MISSING_INTERRUPT):
        one.fault("drop_interrupt")
        one.send(200, 0.001)
        one.send(200, 0.01)


def test_row_12_completion_of_no_packet(one):
    with one.must_reset(TX_REQ_ID):
        one.fault("tx_req_id", "--value", 0xffff, "--limit", 1)
        one.send(3)
    log_has(one, "[Ii]nvalid req[_ ]?id")


def test_row_13_completion_of_no_buffer(one):
    with one.must_reset(RX_REQ_ID):
        one.fault("rx_req_id", "--value", 0xffff, "--limit", 1)
        one.peer.try_run(f"ping -q -c 3 -i 0.2 -W 1 {one.ipv4}")
    log_has(one, "bad_req_id: 1")


def test_row_14_too_many_buffers(one):
    with one.must_reset(RX_DESCS):
        one.fault("rx_descs", "--limit", 1)
        one.peer.try_run(f"ping -q -c 3 -i 0.2 -W 1 {one.ipv4}")


def test_row_15_malformed_receive_completion(one):
    with one.must_reset(RX_MALFORMED):
        one.fault("rx_malformed", "--limit", 3)
        one.peer.try_run(f"ping -q -c 8 -i 0.2 -W 1 {one.ipv4}")


def test_row_16_malformed_transmit_completion_goes_unseen(one):
    """Only Amazon's own driver looks."""
    before = nic.resets(one.card, one.name)
    one.fault("tx_malformed", "--limit", 5)
    one.send(10)
    one.ping(one.peer)
    assert nic.resets(one.card, one.name) == before


def test_row_17_no_receive_buffers(one):
    before = one.links()["stats64"]["rx"]
    one.fault("rx_starve")
    assert one.try_run(f"ping -q -c 3 -i 0.2 -W 1 {one.peer.ipv4}")[0] != 0
    # The next keep-alive tells.
    wait_until(lambda: total_drops(one) > before["dropped"] + before.get(
        "over_errors", 0), 10, "the drops are counted")
    one.heal()
    one.ping(one.peer)


def total_drops(one):
    now = one.links()["stats64"]["rx"]
    return now["dropped"] + now.get("over_errors", 0)


def test_row_18_register_reads_are_not_answered(one):
    device = one.device()
    one.unbind(device)
    one.fault("readless")
    assert not one.bind(device)
    log_has(one, "[Rr]eading reg failed|Reg read")
    one.heal()
    assert one.bind(device)
    one.enter()
    one.ping(one.peer)


@pytest.mark.parametrize("value, word", [(0, "on"), (1, "off")])
def test_row_19_a_reset_gets_stuck(one, value, word):
    device = one.device()
    one.unbind(device)
    one.fault("reset_stuck", "--value", value)
    assert not one.bind(device, 240)
    log_has(one, f"Reset indication didn't turn {word}")
    one.heal()
    assert one.bind(device)
    one.enter()
    one.ping(one.peer)


def test_row_20_the_device_is_not_ready(one):
    device = one.device()
    one.unbind(device)
    one.fault("not_ready")
    assert not one.bind(device)
    one.heal()
    assert one.bind(device)
    one.enter()
    one.ping(one.peer)


def test_row_21_the_address_changes_over_a_reset(one):
    before = one.resets(TX_REQ_ID)
    one.fault("mac_change")
    one.fault("tx_req_id", "--value", 0xffff, "--limit", 1)
    one.send(3)
    wait_until(lambda: one.resets(TX_REQ_ID) > before, 30, "a reset")
    wait_until(lambda: re.search("validation of device parameters failed|"
                                 "mac address are different",
                                 nic.log_of_driver(one.guest), re.I),
               60, "the driver refuses the device")
    assert one.try_run(f"ping -q -c 1 -W 1 {one.peer.ipv4}")[0] != 0


def test_row_22_a_reset_that_this_driver_did_not_ask_to_be_asked_for(one):
    """Only Amazon's own driver takes part in these events."""
    before = nic.resets(one.card, one.name)
    one.fault("request_reset")
    time.sleep(3)
    one.ping(one.peer)
    assert nic.resets(one.card, one.name) == before


def test_row_23_hints_turn_a_watchdog_off(one):
    before = one.resets(MISSING_TX)
    one.fault("hints", "--value", 65535, "--limit", 1)
    time.sleep(2)
    one.fault("tx_stall", "--limit", 64)
    one.send(70)
    time.sleep(5)
    assert one.resets(MISSING_TX) == before
    one.run("ip link set eth0 down")
    one.set_up()
    one.ping(one.peer)
    begin_again(one)            # to get back the time-outs of before
    one.enter()


def test_row_24_the_link_flaps(one):
    def changes():
        return int(one.run("cat /sys/class/net/eth0/carrier_changes"))
    before = changes()
    one.fault("link_flap", "--limit", 4)
    wait_until(lambda: changes() >= before + 4, 20, "the carrier changes")
    one.must_recover()


def test_row_25_not_enough_memory_for_queues(one):
    one.fault("create_memory", "--value", 300)
    one.run("ip link set eth0 down")
    one.set_up()
    said = one.ethtool("-g eth0").split("Current")[1]
    assert re.search(r"RX:\s+256", said) and re.search(r"TX:\s+256", said), said
    one.ping(one.peer)
    one.heal()
    begin_again(one)
    one.enter()


def test_row_26_the_clock_errs(one):
    if one.kernel < (7, 2):
        pytest.skip("this kernel's driver has no PHC")
    device = one.device()
    one.guest.run(f"devlink dev param set pci/{device} name enable_phc value true "
            "cmode driverinit")
    one.guest.run(f"devlink dev reload pci/{device}", 120)
    one.set_up()
    index = re.search(r"(?:PTP Hardware Clock|provider index): (\d+)",
                      one.ethtool("-T eth0"))[1]

    def read():
        """Whether the clock can be read."""
        return one.guest.run(f"""python3 - <<'@PY'
import os, time
clock = (~os.open("/dev/ptp{index}", os.O_RDONLY) << 3) | 3
good = 0
for _ in range(5):
    time.sleep(0.05)
    try:
        good += bool(time.clock_gettime_ns(clock))
    except OSError:
        pass
print(good)
@PY""").split()[-1]
    assert int(read()) >= 1
    one.fault("phc_error", "--value", 3)
    assert read() == "0"
    one.heal()
    time.sleep(1)
    assert int(read()) >= 1
    one.fault("phc_late", "--value", 5000)
    assert read() == "0"
    one.heal()
    time.sleep(1)
    assert int(read()) >= 1
    one.ping(one.peer)


def test_row_27_resets_again_and_again(one):
    before = one.resets(KEEP_ALIVE)
    one.fault("keep_alive")
    wait_until(lambda: one.resets(KEEP_ALIVE) >= before + 3, 90, "three resets")
    one.heal()
    one.must_recover()


def test_a_nic_that_resets_itself(one):
    """Nobody tells the driver, as when firmware starts anew.  With the registers
    goes the address for register reads: the first reset fails for it, and the
    driver makes all anew."""
    with one.must_reset(NORMAL):
        one.card.ctl("reset", one.name)
