# SPDX-License-Identifier: BSD-3-Clause
"""Every way that doorbells reach the card, and every way it waits for them:
no command is lost and no byte is wrong.  Each volume's two queues are on two
threads, but for those that stay at home.  NITRO_SOAK_SECONDS makes it long."""
import json
import os

import pytest

import checks
from guest import ROOT_IMAGE, Card, Guest, copy_image

SECONDS = int(os.environ.get("NITRO_SOAK_SECONDS", "20"))
STUCK_NS = 20_000_000_000

WAYS = {
    "mapped-polling": {"doorbells": "mapped", "polling": "always"},
    "mapped-sleeping": {"doorbells": "mapped", "polling": "never"},
    "trapped-sleeping": {"doorbells": "trapped", "polling": "never"},
    "shadow": {"profile": "nvme-1"},
    "shadow-sleeping": {"profile": "nvme-1", "polling": "never"},
    "shadow-mapped": {"profile": "nvme-1", "doorbells": "mapped"},
    "mapped-at-home": {"doorbells": "mapped", "spread": False},
    "shadow-at-home": {"profile": "nvme-1", "spread": False},
}


def volume_id(number):
    return f"vol-00000000000000a0{number}"


def disk_of(guest, number):
    """By serial number: nvme-1 is no EBS volume, and has no link of theirs."""
    serial = volume_id(number).replace("-", "")
    name = guest.run(f"grep -l {serial} /sys/class/nvme/*/serial").split("/")[4]
    return f"/dev/{name}n1"


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    """A guest with a volume for each way."""
    folder = tmp_path_factory.mktemp("doors")
    root = copy_image(ROOT_IMAGE, folder / "root.img")
    functions = [{"ebs": {"name": "ebs0", "volume": {"file": str(root)}}}]
    for number, keys in enumerate(WAYS.values(), 1):
        functions.append({"ebs": {
            "name": f"ebs{number}", "volume-id": volume_id(number),
            "volume": {"memory": "64MiB"}, **keys}})
    with Card(functions, {"workers": 2}) as card, Guest(card) as guest:
        guest.wait_for_shell()
        yield guest


def jobs(disk):
    """A busy one, and one that lets the card fall asleep again and again."""
    common = (f"--filename={disk} --direct=1 --ioengine=libaio --rw=randwrite "
              "--bsrange=512-64k --verify=crc32c --verify_fatal=1 "
              "--verify_backlog=64 --size=24m --time_based "
              f"--runtime={SECONDS}")
    return (f"--name=busy --iodepth=16 {common} "
            f"--name=slow --iodepth=4 --offset=32m --thinktime=3000 "
            f"--thinktime_blocks=5 {common}")


def test_fio_verifies_whatever_the_doorbells(doors):
    disks = {way: disk_of(doors, number)
             for number, way in enumerate(WAYS, 1)}
    doors.run("\n".join(
        f"fio --output-format=json --output=/run/{way}.json {jobs(disk)} &"
        for way, disk in disks.items()) + "\nwait", 3 * SECONDS + 300)
    for way in WAYS:
        report = json.loads(doors.run(f"cat /run/{way}.json"))
        for job in report["jobs"]:
            assert job["error"] == 0, way
            assert job["read"]["total_ios"] > 0, way
            assert job["write"]["clat_ns"]["max"] < STUCK_NS, way
    checks.quiet_driver(doors)


def test_the_driver_uses_shadow_doorbells_where_they_are_offered(doors):
    for number, way in enumerate(WAYS, 1):
        disk = disk_of(doors, number)
        oacs = json.loads(doors.run(f"nvme id-ctrl {disk} -o json"))["oacs"]
        assert bool(oacs & 0x100) == ("nvme-1" in str(WAYS[way])), way


def test_queues_are_on_two_threads_unless_they_stay_at_home(doors):
    functions = json.loads(doors.source.ctl("status", "--json"))["functions"]
    details = {f["name"]: f["details"] for f in functions}
    for number, (way, keys) in enumerate(WAYS.items(), 1):
        status = details[f"ebs{number}"]
        assert status["io_queues"] == 2, way
        assert status["threads"] == (2 if keys.get("spread", True) else 1), way
        kind = "mapped" if "mapped" in way else way.split("-")[0]
        if way != "shadow-mapped":
            assert status["doorbells"] == kind, way
