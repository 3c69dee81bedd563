# SPDX-License-Identifier: BSD-3-Clause
"""The guest and its volumes survive every kind of reset."""
import checks
from checks import disk_of
from guest import SCRATCH_ID


def test_nvme_reset_under_load(guest):
    checks.reset_controller(guest)


def test_nvme_reset_of_the_root_volume(guest):
    disk = disk_of(guest, checks.VOLUME_ID)
    for _ in range(3):
        guest.run(f"nvme reset {disk.removesuffix('n1')}")
        guest.run("sync; echo 3 > /proc/sys/vm/drop_caches; ls -lR /etc > /dev/null")


def test_function_level_reset(guest):
    device = pci_device(guest)
    guest.run(f"grep -qw flr {device}/reset_method && echo 1 > {device}/reset", 120)
    checks.verify(guest, mib=4, jobs=2)


def test_a_volume_that_resets_itself(machine, guest):
    machine.card.ctl("reset", "ebs1")
    # Its driver would notice by itself, after half a minute.
    guest.run(f"nvme reset {disk_of(guest, SCRATCH_ID).removesuffix('n1')}", 120)
    checks.verify(guest, mib=4, jobs=2)


def test_unbind_and_bind(guest):
    address = pci_device(guest).rpartition("/")[2]
    for _ in range(5):
        guest.run(f"""
            echo {address} > /sys/bus/pci/drivers/nvme/unbind
            ! test -e {checks.by_id(SCRATCH_ID)} || udevadm settle
            echo {address} > /sys/bus/pci/drivers/nvme/bind
            for i in $(seq 100); do
                test -e {checks.by_id(SCRATCH_ID)} && exit; sleep 0.1
            done; exit 1""")
    checks.verify(guest, mib=4, jobs=2)
    checks.quiet_driver(guest)


def test_remove_and_rescan(guest):
    device = pci_device(guest)
    guest.run(f"echo 1 > {device}/remove; sleep 1; echo 1 > /sys/bus/pci/rescan")
    guest.run(f"for i in $(seq 100); do test -e {checks.by_id(SCRATCH_ID)} && exit;"
              " sleep 0.1; done; exit 1")
    checks.verify(guest, mib=4, jobs=2)


def test_system_reset_from_the_monitor(guest):
    guest.run("echo before > /root/reset; sync")
    guest.system_reset()
    assert guest.run("cat /root/reset").strip() == "before"
    guest.run("(dd if=/dev/urandom of=/root/load bs=1M count=64 &) ; sleep 1")
    guest.system_reset()        # this time in the middle of writing
    checks.quiet_driver(guest)


def pci_device(guest):
    """The scratch volume's device in sysfs: the root volume must stay."""
    disk = disk_of(guest, SCRATCH_ID)
    return guest.run(f"readlink -f /sys/block/{disk[5:]}/device/device").strip()
