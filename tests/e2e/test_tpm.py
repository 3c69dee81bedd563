# SPDX-License-Identifier: BSD-3-Clause
"""A guest of OVMF and its TPM: what firmware measured, keys, quotes, a disk."""
import base64
import hashlib
import os
import re

import pytest
from cryptography.hazmat.primitives import serialization

import checks
from guest import (ROOT_IMAGE, SCRATCH_ID, Card, Guest, choose_kernel,
                   copy_image, ebs)

HANDLE = "0x81010010"


class Machine:
    """A card with a TPM and the one guest that all tests here share."""

    def __init__(self, folder):
        root = copy_image(ROOT_IMAGE, folder / "root.img")
        choose_kernel(root, "6.12")
        scratch = folder / "scratch.img"
        with open(scratch, "wb") as file:
            file.truncate(64 << 20)
        self.card = Card([ebs("ebs0", root), ebs("ebs1", scratch, SCRATCH_ID, "/dev/sdf")],
                         tpm={"instance": "i-0123456789abcdef0"})
        self.guest = None

    def boot(self):
        if not self.card.process or self.card.process.poll() is not None:
            self.card.start()
        self.guest = Guest(self.card, "ovmf")
        self.guest.start()
        self.guest.wait_for_shell()
        self.guest.run("mountpoint -q /sys/kernel/security || "
                       "mount -t securityfs securityfs /sys/kernel/security")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    machine = Machine(tmp_path_factory.mktemp("tpm"))
    try:
        machine.boot()
        yield machine
    finally:
        if machine.guest:
            machine.guest.kill()
        machine.card.stop()


@pytest.fixture
def guest(machine):
    return machine.guest


def test_linux_runs_it_and_says_it_is_2_0(guest):
    assert guest.run("cat /sys/class/tpm/tpm0/tpm_version_major").strip() == "2"
    assert "tpm_crb" in guest.run("readlink /sys/class/tpm/tpm0/device/driver")
    assert "2.0" in guest.run("tpm2_getcap properties-fixed | grep -A2 FAMILY")


def test_the_firmwares_log_replays_to_pcr_0_to_7(guest):
    checks.firmware_log_replays(guest)
    log = guest.run(f"tpm2_eventlog {checks.BIOS_LOG}", 120)
    assert "EV_EFI_BOOT_SERVICES_APPLICATION" in log        # GRUB, into PCR 4
    assert "Exit Boot Services" in log


def test_the_card_reads_the_same_pcrs(machine, guest):
    theirs = checks.pcrs(guest)
    ours = checks.tpm_status(machine.card)["pcrs_sha384"]
    assert [ours[n] for n in range(24)] == [theirs[n] for n in range(24)]


def test_pcr_22_names_the_card_and_no_guest_changes_it(guest):
    before = checks.pcrs(guest)[22]
    assert before != "f" * 96
    digest = hashlib.sha384(b"guest").hexdigest()
    assert guest.try_run(f"tpm2_pcrextend 22:sha384={digest}")[0] != 0
    assert guest.try_run("tpm2_pcrreset 22")[0] != 0
    assert checks.pcrs(guest)[22] == before


@pytest.mark.parametrize("key, word", [("rsa-2048", "rsa"), ("ecc-sec-p384", "ecc384")])
def test_a_guest_makes_the_endorsement_key_that_the_card_tells(machine, guest, key, word):
    pem = guest.run(f"tpm2_createek -Q -c /run/ek -G {word} -u /run/ek.pem -f pem && "
                    "cat /run/ek.pem; tpm2_flushcontext -t", 120)
    theirs = serialization.load_pem_public_key(
        re.search(r"-----BEGIN.*END PUBLIC KEY-----\n", pem, re.S)[0].encode())
    ours = serialization.load_der_public_key(
        base64.b64decode(machine.card.ctl("tpm", "ek", "--key", key)))
    assert theirs.public_numbers() == ours.public_numbers()


def test_a_quote_is_good_and_an_altered_one_is_not(guest):
    checks.tpm_quote(guest)


@pytest.mark.parametrize("device", ["/dev/tpmrm0", "/dev/tpm0"])
def test_a_guest_gets_a_document_of_its_pcrs(machine, guest, device):
    """As nitro-tpm-attest: Linux lets the vendor's command through."""
    checks.tpm_document(guest, machine.card, os.urandom(32), device)


def test_a_seal_opens_with_the_right_pcrs_only(guest):
    guest.run("""set -e; cd /run
        tpm2_pcrreset 16
        tpm2_createprimary -Q -C o -c parent
        tpm2_pcrread -Q -o pcr.bin sha384:7,16,22
        tpm2_createpolicy -Q --policy-pcr -l sha384:7,16,22 -f pcr.bin -L policy
        echo -n secret-of-the-guest | tpm2_create -Q -C parent -L policy -i - \\
            -u sealed.pub -r sealed.priv
        tpm2_load -Q -C parent -u sealed.pub -r sealed.priv -c sealed""", 120)
    unseal = "cd /run; tpm2_unseal -c sealed -p pcr:sha384:7,16,22"
    assert "secret-of-the-guest" in guest.run(unseal)
    guest.run("tpm2_pcrevent 16 /etc/hostname")
    assert guest.try_run(unseal)[0] != 0
    guest.run("tpm2_pcrreset 16")
    assert "secret-of-the-guest" in guest.run(unseal)
    guest.run("tpm2_flushcontext -t")


def test_systemd_unlocks_a_disk_by_the_tpm(guest):
    disk = checks.disk_of(guest, SCRATCH_ID)
    guest.run(f"""set -e
        echo -n first-password >/run/password
        cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \\
            --pbkdf-force-iterations 1000 {disk} /run/password
        PASSWORD=first-password systemd-cryptenroll --tpm2-device=auto \\
            --tpm2-pcrs=4+7 {disk}
        systemd-cryptenroll --wipe-slot=password {disk}""", 240)
    guest.run(f"""set -e
        /lib/systemd/systemd-cryptsetup attach opened {disk} - tpm2-device=auto,headless=1
        echo what-is-kept | dd of=/dev/mapper/opened bs=4096 conv=sync oflag=direct
        cryptsetup close opened""", 240)


def make_persistent(guest):
    guest.run(f"""set -e; cd /run
        tpm2_createprimary -Q -C o -G ecc256 -c kept
        tpm2_evictcontrol -Q -C o -c kept {HANDLE}
        tpm2_flushcontext -t""", 120)
    return guest.run(f"tpm2_readpublic -c {HANDLE} | grep -A1 '^name'")


def test_a_persistent_key_outlives_kill_of_the_card(machine):
    """Power fails just behind the acknowledgement, and all boots anew."""
    guest = machine.guest
    name, ek = make_persistent(guest), machine.card.ctl("tpm", "ek")
    before = checks.pcrs(guest)
    guest.run("sync")
    machine.card.kill()
    guest.kill()
    machine.boot()
    guest = machine.guest
    assert guest.run(f"tpm2_readpublic -c {HANDLE} | grep -A1 '^name'") == name
    assert machine.card.ctl("tpm", "ek") == ek
    # The same machine was measured: what is bound to it opens again.
    after = checks.pcrs(guest)
    assert [after[n] for n in range(8)] == [before[n] for n in range(8)]
    disk = checks.disk_of(guest, SCRATCH_ID)
    guest.run(f"/lib/systemd/systemd-cryptsetup attach opened {disk} - "
              "tpm2-device=auto,headless=1", 120)
    assert "what-is-kept" in guest.run("dd if=/dev/mapper/opened bs=4096 count=1 status=none")
    assert checks.tpm_status(machine.card)["boots"] == 1


def test_a_reboot_measures_anew_and_keeps_the_key(machine):
    guest = machine.guest
    guest.run("tpm2_pcrevent 16 /etc/hostname")
    before = checks.pcrs(guest)
    guest.reboot()
    after = checks.pcrs(guest)
    assert after[16] == "0" * 96
    assert [after[n] for n in (0, 2, 3, 4, 6, 7, 22)] == [
        before[n] for n in (0, 2, 3, 4, 6, 7, 22)]
    guest.run(f"tpm2_readpublic -c {HANDLE}")
    assert checks.tpm_status(machine.card)["boots"] >= 2
