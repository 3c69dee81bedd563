# SPDX-License-Identifier: BSD-3-Clause
"""The guest starts through firmware and GRUB, every time, with each kernel."""
import pytest

import checks
from guest import Guest


@pytest.mark.parametrize("firmware", ["seabios", "ovmf"])
def test_firmware_finds_grub_on_the_volume(machine, card, firmware):
    guest = machine.boot(firmware)
    has_efi = guest.try_run("test -d /sys/firmware/efi")[0] == 0
    assert has_efi == (firmware == "ovmf")


def test_nitroctl_serves_an_image_by_itself_and_stops_with_the_guest(machine, card):
    machine.end_guest()
    card.stop()
    with Guest(machine.root) as guest:
        guest.wait_for_shell()
        guest.power_off()
        assert guest.process.wait() == 0


@pytest.mark.parametrize("kernel", ["6.12", "7.2", "6.1"])
def test_kernel_has_no_complaint(guest, kernel):
    guest.reboot(f"grub-reboot linux-{kernel}; sync; reboot -f")
    assert guest.run("uname -r").startswith(kernel + ".")
    checks.verify(guest, mib=8, jobs=2)
    checks.identity(guest)
    checks.quiet_driver(guest)


@pytest.mark.timeout(1800)
def test_twenty_reboots_in_a_row(guest):
    for count in range(1, 21):
        polite = count % 5 == 0     # the others skip the shutdown
        guest.reboot("systemctl reboot" if polite else "sync; reboot -f")
        guest.run(f"echo {count} >> /root/reboots; sync")
    assert guest.run("cat /root/reboots").split() == [str(n) for n in range(1, 21)]
    checks.quiet_driver(guest)
