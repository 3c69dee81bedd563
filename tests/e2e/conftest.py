# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures: private volumes, a card, and a guest that several tests share."""
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "guest"))
sys.path.append(str(TESTS / "attest"))      # why a document is refused

import custody  # noqa: E402
from guest import CACHE, ROOT_IMAGE, SCRATCH_ID, Card, Guest, copy_image, ebs  # noqa: E402

SCRATCH_BYTES = 1 << 30

# Leave no card and no guest behind, also when told to stop.
signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", 1))


class Machine:
    """A card with a root and a scratch volume, and the guest that runs on it."""

    def __init__(self, folder):
        self.root = copy_image(ROOT_IMAGE, folder / "root.img")
        self.scratch = folder / "scratch.img"
        with open(self.scratch, "wb") as file:
            file.truncate(SCRATCH_BYTES)
        self.card = Card([ebs("ebs0", self.root),
                          ebs("ebs1", self.scratch, SCRATCH_ID, "/dev/sdf")])
        self.guest = None

    def boot(self, firmware="seabios"):
        """A new guest in the place of the one before, if any."""
        self.end_guest()
        self.guest = Guest(self.card, firmware, qemu_options=custody.HOT_PORTS)
        self.guest.start()
        self.guest.wait_for_shell()
        return self.guest

    def end_guest(self):
        if self.guest:
            self.guest.kill()
            self.guest = None

    def is_well(self):
        if not self.guest or self.guest.process.poll() is not None:
            return False
        try:
            return self.guest.try_run("true", 10)[0] == 0
        except Exception:       # whatever broke the console: boot another guest
            return False


@pytest.fixture(scope="session")
def machine(request):
    with tempfile.TemporaryDirectory(prefix="e2e-", dir=CACHE) as folder:
        machine = Machine(pathlib.Path(folder))
        try:
            yield machine
        finally:
            machine.end_guest()
            machine.card.stop()
            if request.session.testsfailed:
                print(f"\nthe card's log: {machine.card.log}")
            else:
                shutil.rmtree(machine.card.folder)


@pytest.fixture
def card(machine):
    if not machine.card.process or machine.card.process.poll() is not None:
        machine.end_guest()
        machine.card.start()
    return machine.card


@pytest.fixture
def guest(machine, card):
    """A guest at its shell: the one of the test before if it is still well."""
    return machine.guest if machine.is_well() else machine.boot()
