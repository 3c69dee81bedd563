# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own nsm driver on the card's security module: one guest per kernel, and
each on another of QEMU's machines (EC2's x86 instances look like i440FX)."""
import json
import os
import re
import subprocess
import sys

import pytest

import checks
import reasons
from guest import (BUILD, REPO, ROOT_IMAGE, Guest, choose_kernel, copy_image, ebs,
                   tools_environment)
from verified import VerifiedCard

KERNELS = {"6.12": "q35", "7.2": "pc"}
HOST_BRIDGES = {"q35": "0x29c0", "pc": "0x1237"}
INSTANCE = "i-0123456789abcdef0"
ZERO = "00" * 48


class Machine:
    def __init__(self, card, guest, kernel):
        self.card, self.guest, self.kernel = card, guest, kernel

    def client(self, *words):
        return self.guest.run("python3 /root/nsm.py " + " ".join(words)).strip()

    def settle(self):
        checks.prepare_nsm(self.guest)

    def broken_rules(self):
        """Their names, but for the one that the driver breaks in each probe."""
        return set(re.findall(r"nsm\.\w+", self.card.ctl("bugs", "nsm0")))


@pytest.fixture(scope="module", params=KERNELS)
def machine(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nsm")
    root = copy_image(ROOT_IMAGE, folder / "root.img")
    choose_kernel(root, request.param)
    functions = [ebs("ebs0", root), {"nsm": {"name": "nsm0", "instance-id": INSTANCE}}]
    options = ["-machine", KERNELS[request.param]]
    with VerifiedCard(functions) as card, Guest(card, qemu_options=options) as guest:
        guest.wait_for_shell()
        assert guest.run("uname -r").startswith(request.param + ".")
        machine = Machine(card, guest, request.param)
        machine.settle()
        yield machine


def test_the_driver_binds_and_its_random_numbers_are_the_kernels(machine):
    guest = machine.guest
    assert guest.run("cat /sys/bus/pci/devices/0000:00:00.0/device").strip() == \
        HOST_BRIDGES[KERNELS[machine.kernel]]
    assert guest.run("stat -c %a /dev/nsm").strip() == "666"
    assert "nsm" in guest.run("readlink /sys/bus/virtio/devices/*/driver")
    assert "nsm-hwrng" in guest.run("cat /sys/class/misc/hw_random/rng_available")
    assert guest.run("cat /sys/class/misc/hw_random/rng_current").strip() == "nsm-hwrng"
    one, two = (guest.run("head -c 4096 /dev/hwrng | sha256sum") for _ in range(2))
    assert one != two
    assert int(guest.run("head -c 65536 /dev/hwrng | gzip | wc -c")) > 65536


def test_msi_x_is_in_use(machine):
    assert "virtio" in machine.guest.run("grep -i 'virtio.*nsm\\|nsm.vq' /proc/interrupts")


def test_every_command_and_every_error(machine):
    assert machine.client("check") == "all well"


@pytest.fixture(scope="module")
def root(machine):
    file = machine.card.folder / "root.pem"
    file.write_text(machine.card.ctl("attest", "root"))
    return file


def ours(file, root):
    """The first reason that libnitro-attest has."""
    done = subprocess.run([BUILD / "nitroctl", "attest", "verify", file, "--root",
                           root, "--json"], env=tools_environment(),
                          capture_output=True, text=True, timeout=30, check=False)
    return json.loads(done.stdout)["result"]


def independent(file, root, *words):
    """Status and sentence of the verifier that shares nothing with the card."""
    done = subprocess.run([sys.executable, REPO / "tests/attest/verify_document.py",
                           file, "--root", root, *words], capture_output=True,
                          text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def test_documents_are_believed(machine, root):
    nonce = os.urandom(32)
    file = checks.document(machine.guest, machine.card, nonce)
    pcr = machine.client("pcr", "4").split()[1]
    status, says = independent(file, root, "--nonce", nonce.hex(), "--pcr", f"4={pcr}")
    assert status == 0, says


def test_each_way_of_tampering_is_refused_for_its_own_reason(machine, root):
    """Of both: the card's own verifier, and the other one."""
    file = machine.card.folder / "tampered.cbor"
    said = {}
    for fault, bit in reasons.bits().items():
        machine.card.ctl("faults", "set", "nsm0", "document", f"--value={bit}",
                         "--limit=1")
        file.write_bytes(bytes.fromhex(machine.client("document", "00ff")))
        said[fault] = ours(file, root), independent(file, root)[1].split(": ")[1]
    assert said == {fault: (reason, reason)
                    for fault, reason in reasons.REASONS.items()}
    assert len(set(said.values())) == len(said)
    # None of it lasts.
    checks.document(machine.guest, machine.card, b"\1")


def test_documents_are_bound_to_what_was_measured(machine):
    file = checks.document(machine.guest, machine.card, os.urandom(32))
    checks.is_bound(machine.card, file)
    status = machine.card.boot_status()[1]
    for n, name in enumerate(("firmware", "config")):
        assert machine.client("pcr", str(n)) == f"1 {status['registers'][name]}"


def test_pcrs_outlive_the_driver(machine):
    machine.client("extend", "21", "kept")
    before = machine.client("pcr", "21")
    # Not at the virtio bus: the driver leaves without a reset, so the queue is
    # still enabled when it comes again, and it gives up (ENOENT).
    machine.guest.run("""
        address=$(basename $(grep -l 0x1061 /sys/bus/pci/devices/*/device | xargs dirname))
        echo $address > /sys/bus/pci/drivers/virtio-pci/unbind
        test -e /dev/nsm && exit 1
        echo 1 > /sys/bus/pci/devices/$address/reset
        echo $address > /sys/bus/pci/drivers/virtio-pci/bind""")
    machine.settle()
    assert machine.client("pcr", "21") == before


def test_status_shows_what_the_guest_sees(machine):
    lock, value = machine.client("pcr", "4").split()
    assert lock == "1" and value != ZERO
    assert f"nsm0: PCR 4, locked, {value}\n" in machine.card.ctl("status")
    assert "nsm.NOTIFY_EARLY" in machine.broken_rules()


def test_a_reboot_ends_the_instance(machine):
    before = machine.client("pcr", "4")
    kernel = machine.kernel
    machine.guest.run(f"grub-editenv /boot/grub/grubenv set next_entry=linux-{kernel}")
    machine.guest.reboot()
    assert machine.guest.run("uname -r").startswith(kernel + ".")
    machine.settle()
    assert machine.client("pcr", "21") == f"0 {ZERO}"
    assert machine.client("pcr", "4") == before


def test_the_kernel_has_nothing_to_say(machine):
    assert machine.guest.run("dmesg | grep -iE 'nsm|virtio' | grep -iE 'warn|err|fail|bug'"
                             " || true").strip() == ""
    assert machine.broken_rules() <= {"nsm.NOTIFY_EARLY", "nsm.REQUEST_COMMAND",
                                      "nsm.REQUEST_ARGUMENT"}
