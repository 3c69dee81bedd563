# SPDX-License-Identifier: BSD-3-Clause
"""Debian's own tools see an EBS volume."""
import json

import pytest

import checks
from checks import disk_of
from guest import SCRATCH_ID, VOLUME_ID

FEATURES = {
    0x01: "arbitration", 0x02: "power management", 0x04: "temperature threshold",
    0x05: "error recovery", 0x06: "volatile write cache", 0x07: "number of queues",
    0x08: "interrupt coalescing", 0x09: "interrupt vector configuration",
    0x0A: "write atomicity", 0x0B: "asynchronous events",
}


def nvme(guest, words, volume_id=VOLUME_ID):
    return json.loads(guest.run(
        f"nvme {words} {disk_of(guest, volume_id)} -o json"))


@pytest.mark.parametrize("volume_id, name", [(VOLUME_ID, "sda1"), (SCRATCH_ID, "sdf")])
def test_volume_is_named_as_on_ec2(guest, volume_id, name):
    checks.identity(guest, volume_id, name)


def test_lspci_shows_what_an_ec2_guest_sees(guest):
    checks.pci_face(guest)


def test_second_volume_is_where_ec2_attaches_it(guest):
    disk = disk_of(guest, SCRATCH_ID)
    address = guest.run(f"cat /sys/block/{disk[5:]}/device/address").strip()
    assert address in ("0000:00:1f.0", "0000:00:1e.0")


def test_identify_controller(guest):
    controller = nvme(guest, "id-ctrl")
    assert controller["vid"] == 0x1D0F
    assert controller["fr"].strip() == "2.0"
    assert controller["ver"] == 0x10400
    assert controller["ieee"] == 0xDC02A0
    assert controller["mdts"] == 6
    assert controller["nn"] == 1
    assert controller["oncs"] == 0
    assert controller["oacs"] == 0
    assert controller["vwc"] & 1
    assert controller["sqes"] == 0x66
    assert controller["cqes"] == 0x44
    nqn = guest.run(f"cat /sys/block/{disk_of(guest, VOLUME_ID)[5:]}/device/subsysnqn")
    assert nqn.strip() == f"nqn:2008-08.com.amazon.aws:ebs:{checks.serial(VOLUME_ID)}"


def test_identify_namespace(guest):
    disk = disk_of(guest, VOLUME_ID)
    namespace = nvme(guest, "id-ns")
    size = int(guest.run(f"blockdev --getsize64 {disk}"))
    assert namespace["nsze"] * 512 == size
    assert namespace["lbafs"][0]["ds"] == 9
    assert namespace["nsfeat"] & 0x10
    assert (namespace["npwg"], namespace["nows"]) == (7, 7)
    queue = f"/sys/block/{disk[5:]}/queue"
    assert guest.run(f"cat {queue}/minimum_io_size {queue}/optimal_io_size "
                     f"{queue}/physical_block_size {queue}/discard_max_bytes"
                     ).split() == ["4096", "4096", "4096", "0"]
    uuid = guest.run(f"cat /sys/block/{disk[5:]}/uuid").strip()
    assert uuid[14] == "5", f"{uuid} is not of version 5"


def test_volumes_differ(guest):
    disks = [disk_of(guest, volume)[5:] for volume in (VOLUME_ID, SCRATCH_ID)]
    assert len({guest.run(f"cat /sys/block/{disk}/wwid") for disk in disks}) == 2


def test_smart_log(guest):
    before = nvme(guest, "smart-log")
    disk = disk_of(guest, VOLUME_ID)
    guest.run(f"dd if={disk} of=/dev/null bs=1M count=8 iflag=direct")
    after = nvme(guest, "smart-log")
    assert after["critical_warning"] == 0
    assert int(after["host_read_commands"]) > int(before["host_read_commands"])
    assert int(after["data_units_read"]) >= int(before["data_units_read"]) + 16


def test_error_log_holds_what_went_wrong(guest):
    disk = disk_of(guest, VOLUME_ID)
    nvme(guest, "error-log")
    status, _ = guest.try_run(f"nvme admin-passthru {disk} --opcode=0x7f")
    assert status != 0
    entries = nvme(guest, "error-log")["errors"]
    assert entries[0]["error_count"] > 0


def test_firmware_log(guest):
    assert "frs1" in guest.run(f"nvme fw-log {disk_of(guest, VOLUME_ID)}")


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURES.get)
def test_get_feature(guest, feature):
    disk = disk_of(guest, VOLUME_ID)
    for select in (0, 1, 3):        # current, default, what it supports
        answer = guest.run(f"nvme get-feature {disk} -f {feature:#x} -s {select}")
        assert "get-feature:" in answer


def test_driver_has_no_complaint_after_all_this(guest):
    checks.quiet_driver(guest)
