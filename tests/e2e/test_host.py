# SPDX-License-Identifier: BSD-3-Clause
"""host-driver through the kernel's VFIO: the programs that drive our sockets,
in a guest, on the NVMe device that QEMU emulates.

The guest is a kernel with all of VFIO (tests/guest/vfio.sh) and an initramfs of
busybox and the programs; it is up within seconds.
"""
import os
import re
import subprocess

import pytest

from guest import BUILD, QEMU, Card, ebs
from initramfs import KERNEL, make_initramfs, programs

SERIAL = "host-driver"
BLOCK_0 = b"the first block"
BLOCK_0_LINE = f"block 0     {BLOCK_0.ljust(16, bytes(1)).hex(' ')}"
BOOT_SECONDS = 180

PASSWD = b"root::0:0::/:/bin/sh\nuser::1000:1000::/:/bin/sh\n"

# One shell script for all guests: $tasks is what a test wants done.
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
pci=$(grep -l 0x010802 /sys/bus/pci/devices/*/class | cut -d/ -f6)
bind() {
	echo vfio-pci >/sys/bus/pci/devices/$pci/driver_override
	echo $pci >/sys/bus/pci/drivers_probe
}
allow_no_iommu() {
	echo 1 >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode
}
lose() {
	host_tour $pci lost >/tmp/lost &
	until grep -q waiting /tmp/lost; do sleep 0.1; done
	echo $pci >/sys/bus/pci/drivers/vfio-pci/unbind
	wait
	cat /tmp/lost
}
task() {
	echo "@begin $1"
	shift
	"$@" 2>&1
	echo "@end $?"
}
@TASKS@
poweroff -f
"""


class Result:
    """What a task said, and with which status it ended."""

    def __init__(self, text, status):
        self.text, self.status = text, status

    def must(self, *texts):
        assert self.status == 0, self.text
        for text in texts:
            assert text in self.text, self.text


def boot(folder, tasks, command_line="", options=()):
    """Run a guest to its end; the results of its tasks by name."""
    disk = folder / "disk.img"
    disk.write_bytes(BLOCK_0)
    os.truncate(disk, 16 << 20)
    make_initramfs(folder / "initramfs",
                   programs(BUILD / "nvme_identify", BUILD / "host_tour"),
                   INIT.replace("@TASKS@", tasks), {"etc/passwd": PASSWD})
    done = subprocess.run(
        [QEMU, "-M", "q35", "-m", "512", "-nographic", "-nodefaults",
         "-serial", "stdio", "-no-reboot", "-kernel", KERNEL,
         "-initrd", folder / "initramfs", *options,
         "-append", f"console=ttyS0 quiet panic=-1 {command_line}",
         "-drive", f"file={disk},format=raw,if=none,id=disk",
         "-device", f"nvme,drive=disk,serial={SERIAL}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=BOOT_SECONDS)
    console = done.stdout.decode(errors="replace").replace("\r\n", "\n")
    found = re.findall(r"@begin (\S+)\n(.*?)@end (\d+)\n", console, re.DOTALL)
    assert len(found) == len(re.findall("^task ", tasks, re.MULTILINE)), console
    return {name: Result(text, int(status)) for name, text, status in found}


@pytest.fixture(scope="module")
def without_iommu(tmp_path_factory):
    return boot(tmp_path_factory.mktemp("vfio"), """
task unbound-strict nvme_identify $pci
allow_no_iommu
task unbound nvme_identify $pci
bind
task example nvme_identify $pci
task by-group nvme_identify vfio-group:$pci
task by-device nvme_identify vfio-cdev:$pci
task tour host_tour $pci small
task unprivileged su user -c "nvme_identify $pci"
echo 64 >/proc/sys/vm/nr_hugepages
task huge host_tour $pci
task absent nvme_identify 0000:1f:1f.7
task lost lose
""")


@pytest.fixture(scope="module")
def with_iommu(tmp_path_factory):
    return boot(tmp_path_factory.mktemp("vfio"), """
bind
task group nvme_identify vfio-group:$pci
task device nvme_identify vfio-cdev:$pci
task usual nvme_identify $pci
task group-tour host_tour vfio-group:$pci
task device-tour host_tour vfio-cdev:$pci
chmod a+rw /dev/vfio/* /dev/vfio/devices/* /dev/iommu
ulimit -l 1024
task group-limit su user -c "nvme_identify vfio-group:$pci"
task device-limit su user -c "nvme_identify vfio-cdev:$pci"
""", "intel_iommu=on", ["-device", "intel-iommu,intremap=on"])


def test_the_example_drives_our_socket(tmp_path):
    volume = tmp_path / "volume.img"
    volume.write_bytes(BLOCK_0)
    os.truncate(volume, 16 << 20)
    with Card([ebs("ebs0", volume)]) as card:
        said = subprocess.run(
            [BUILD / "nvme_identify", card.folder / "ebs0.sock"],
            capture_output=True, text=True, timeout=60)
        Result(said.stdout + said.stderr, said.returncode).must(
            "bus         vfio-user", "Amazon Elastic Block Store",
            "32768 blocks of 512 bytes", BLOCK_0_LINE)


def test_the_same_example_drives_qemus_device_without_an_iommu(without_iommu):
    for name in "example", "by-group":
        without_iommu[name].must(
            "bus         vfio no-IOMMU, doorbells mapped", "QEMU NVMe Ctrl",
            SERIAL, "32768 blocks of 512 bytes", BLOCK_0_LINE)


def test_small_pages_lie_where_they_lie(without_iommu):
    without_iommu["tour"].must(
        "pages: 4 KiB", "ok: a queue that is too long", "ok: data\n",
        "ok: an interrupt", "ok: data after a reset", "the tour is over")


def test_huge_pages_are_used_where_there_are_any(without_iommu):
    without_iommu["huge"].must("pages: 2048 KiB", "the tour is over")


@pytest.mark.parametrize("way", ["group", "device"])
def test_both_ways_through_an_iommu_work(with_iommu, way):
    name = {"group": "vfio group", "device": "vfio cdev"}[way]
    with_iommu[way].must(f"bus         {name}, doorbells mapped", SERIAL,
                         BLOCK_0_LINE)
    with_iommu[f"{way}-tour"].must(
        f"bus: {name}", "pages: 16384 KiB", "ok: an address that is taken",
        "ok: an interrupt", "ok: data after a reset", "the tour is over")


def test_the_character_device_is_preferred(with_iommu):
    with_iommu["usual"].must("bus         vfio cdev")


def test_a_driver_hears_that_the_kernel_wants_the_device_back(without_iommu):
    without_iommu["lost"].must(
        "lost: ENODEV the kernel asks for the device back")


@pytest.mark.parametrize("task, texts", [
    ("unbound-strict", ["no IOMMU", "enable_unsafe_noiommu_mode"]),
    ("unbound", ["bound to no driver", "drivers_probe"]),
    ("by-device", ["no character device"]),
    ("unprivileged", ["EACCES", "/dev/vfio/noiommu-0"]),
    ("absent", ["no PCI function 0000:1f:1f.7"]),
])
def test_a_user_is_told_what_is_missing(without_iommu, task, texts):
    result = without_iommu[task]
    assert result.status == 2, result.text
    for text in texts:
        assert text in result.text, result.text


@pytest.mark.parametrize("way", ["group", "device"])
def test_a_user_is_told_of_the_limit_of_locked_memory(with_iommu, way):
    result = with_iommu[f"{way}-limit"]
    assert result.status == 1, result.text
    assert "does not map 65536 KiB" in result.text, result.text
    assert "ulimit -l" in result.text, result.text
