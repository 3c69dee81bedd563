# SPDX-License-Identifier: BSD-3-Clause
"""`./run --check`: one line per check, `ok NAME: FIGURE` or `not ok NAME: WHY`."""
import os
import signal
import sys
import tempfile
import time

import checks
import custody
import nic
from guest import (BOOT_SECONDS, CACHE, ROOT_IMAGE, SCRATCH_ID, Card, Failure, Guest,
                   choose_kernel, copy_image, ebs)
from verified import VerifiedCard

RESIDENT_LIMIT_MIB = 20
IDLE_LIMIT = 0.005              # of one CPU; a guest at rest still writes its journal
MACS = "02:00:00:00:00:01", "02:00:00:00:00:02"


class Session:
    """The card and the guest that the checks use one after the other."""

    def __init__(self, folder):
        self.folder = folder
        self.image = copy_image(ROOT_IMAGE, f"{folder}/root.img")
        scratch = f"{folder}/scratch.img"
        with open(scratch, "wb") as file:
            file.truncate(1 << 30)
        self.card = Card([ebs("ebs0", self.image),
                          ebs("ebs1", scratch, SCRATCH_ID, "/dev/sdf"),
                          nic.ena("eth0", mac=MACS[0], switch="lan",
                                  uplink={"user": True}),
                          nic.ena("eth1", mac=MACS[1], switch="lan")],
                         tpm={})
        self.booted = None

    def close(self):
        if self.booted:
            self.booted.kill()
        self.card.stop()

    def boot(self, firmware):
        """A new guest on the card; the seconds until its shell."""
        if self.booted:
            self.booted.kill()
            self.booted = None
        if not self.card.process:
            self.card.start()
        self.booted = Guest(self.card, firmware, qemu_options=custody.HOT_PORTS)
        self.booted.start()
        return self.booted.wait_for_shell()

    @property
    def guest(self):
        """The guest of the check before; a new one when that left none."""
        if not self.booted or self.booted.process.poll() is not None:
            self.boot("seabios")
        return self.booted

    # The checks, in the order in which they run.

    def check_boot(self):
        with Guest(self.image) as guest:
            seconds = guest.wait_for_shell()
            guest.power_off()
        return f"{seconds:.1f} s to the login shell by SeaBIOS and GRUB"

    def check_boot_chain(self):
        with VerifiedCard([ebs("ebs0", self.image)]) as card:
            with Guest(card) as guest:
                seconds = guest.wait_for_shell()
                guest.power_off()
            checks.is_verified(card)
            card.stop()
            checks.stays_in_reset(card)
        return (f"verified card: {seconds:.1f} s to the login shell; with a "
                "flipped bit it stays in reset and says why")

    def check_boot_ovmf(self):
        return f"{self.boot('ovmf'):.1f} s to the login shell by OVMF and GRUB"

    def check_tpm_quote(self):
        events = checks.firmware_log_replays(self.guest)
        return f"{checks.tpm_quote(self.guest)}; {events} events of OVMF replay"

    def check_lspci(self):
        return checks.pci_face(self.guest)

    def check_ebs_identity(self):
        return checks.identity(self.guest)

    def check_ebs_verify(self):
        figure = checks.verify(self.guest)
        checks.quiet_driver(self.guest)
        return figure

    def check_nvme_reset(self):
        return checks.reset_controller(self.guest)

    def check_ena_driver(self):
        return checks.network_driver(self.guest, MACS[0])

    def check_ena_traffic(self):
        return checks.fetch(self.guest, MACS[0])

    def check_ena_offload(self):
        return checks.offload(self.guest, self.card, MACS)

    def check_ena_reset(self):
        return checks.reset_network(self.guest, self.card, MACS)

    def check_nsm_document(self):
        # The image's own kernel is too old for a driver.
        image = copy_image(ROOT_IMAGE, f"{self.folder}/nsm.img")
        choose_kernel(image, "7.2")
        with VerifiedCard([ebs("ebs0", image), {"nsm": {"name": "nsm0"}}]) as card, \
                Guest(card) as guest:
            guest.wait_for_shell()
            checks.prepare_nsm(guest)
            file = checks.document(guest, card, os.urandom(32))
            checks.is_bound(card, file)
            size = file.stat().st_size
            source = guest.run("cat /sys/class/misc/hw_random/rng_current").strip()
        return (f"a document of {size} bytes verifies and is bound to the boot chain; "
                f"random numbers by {source}")

    def check_key_custody(self):
        with custody.make_vault(self.folder) as vault:
            return custody.keeps_secrets(self.guest, vault)

    def check_ebs_persist(self):
        checksum = checks.write_and_sync(self.guest, "/root/persist")
        self.guest.kill()
        seconds = self.boot("seabios")
        checks.has_checksum(self.guest, "/root/persist", checksum)
        return f"8 MiB kept through kill -9 of QEMU, next boot {seconds:.1f} s"

    def check_card_idle(self):
        time.sleep(10)          # the guest finishes what boots start
        with_guest = checks.idle(self.card, 10) / 10
        resident = self.card.resident_mib()
        self.guest.kill()
        time.sleep(1)
        alone = checks.idle(self.card, 5) / 5
        figure = (f"{with_guest:.1%} CPU with an idle guest, {alone:.1%} without,"
                  f" {resident:.1f} MiB resident")
        checks.expect(with_guest <= IDLE_LIMIT and alone == 0
                      and resident < RESIDENT_LIMIT_MIB, figure)
        return figure


NAMES = ("boot", "boot-chain", "boot-ovmf", "tpm-quote", "lspci", "ebs-identity",
         "ebs-verify", "nvme-reset", "ena-driver", "ena-traffic", "ena-offload",
         "ena-reset", "nsm-document", "key-custody", "ebs-persist", "card-idle")


def main():
    # Leave no card and no guest behind, also when told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="check-", dir=CACHE) as folder:
        print(f"-- {len(NAMES)} checks; a boot takes 10 to 20 s "
              f"(given up after {BOOT_SECONDS} s)", flush=True)
        session = Session(folder)
        try:
            for name in NAMES:
                failed += not passes(session, name)
        finally:
            session.close()
    return 1 if failed else 0


def passes(session, name):
    try:
        figure = getattr(session, "check_" + name.replace("-", "_"))()
    except (Failure, OSError, ValueError) as why:
        first, _, rest = str(why).partition("\n")
        print(f"not ok {name}: {first}", flush=True)
        print(rest, file=sys.stderr, flush=True)
        return False
    print(f"ok {name}: {figure}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
