# SPDX-License-Identifier: BSD-3-Clause
"""Cases in a guest without KVM: our volumes and QEMU's own nvme device, side
by side in one machine.  Its processor has a core; QEMU's other threads share
the second one with the card."""
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import tempfile
import time

import machine
from figures import compare
from guest import ROOT_IMAGE, Failure, Guest, copy_image, ebs
from host import Job, make_file
from machine import PinnedCard

JOBS = [Job("randread", "4k", 1), Job("randread", "4k", 32),
        Job("randwrite", "4k", 32), Job("read", "128k", 8), Job("write", "128k", 8)]
QUICK_JOBS = {"4k-randread-qd32"}
VOLUMES = {"null": "no storage", "file": "one raw file, in the page cache"}
POWER_ON = "guest/power-on"
PEER = "qemu nvme"


def jobs(is_quick):
    return [job for job in JOBS if not is_quick or job.name in QUICK_JOBS]


def cases(is_quick):
    for volume, what in VOLUMES.items():
        if is_quick and volume != "null":
            continue
        for job in jobs(is_quick):
            yield f"guest/{volume}/{job.name}", what
    yield POWER_ON, "from power-on to the kernel's first line"


def run(plan, table):
    chosen = [name for name, _ in cases(plan.is_quick) if plan.has(name)]
    if not chosen or not plan.has_time(table, "guest", 40):
        return
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=plan.folder) as folder:
            Session(plan, table, pathlib.Path(folder)).run(chosen)
    except (Failure, OSError, ValueError, subprocess.TimeoutExpired) as why:
        table.say(f"guest: not measured: {str(why).splitlines()[0]}")


class Session:
    """One guest for the loads, and one after the other for the power-on."""

    def __init__(self, plan, table, folder):
        self.plan, self.table = plan, table
        self.root = copy_image(ROOT_IMAGE, folder / "root.img")
        self.file = make_file(folder, plan.volume_bytes)

    def run(self, chosen):
        root = ebs("ebs0", self.root)
        volumes = [
            ebs("ebs1", {"null": self.plan.volume_bytes}, volume_id(1), "/dev/sdf"),
            ebs("ebs2", self.file, volume_id(2), "/dev/sdg")]
        loads = [name for name in chosen if name != POWER_ON]
        if loads:
            self.table.progress("guest: boots")
            with PinnedCard([root, *volumes]) as card, Guest(
                    card, options=["--cpus", "1"],
                    qemu_options=self.rivals()) as guest:
                guest.wait_for_shell()
                self.run_loads(loads, card, guest)
        if POWER_ON in chosen and self.plan.has_time(self.table, POWER_ON, 15):
            self.run_power_on(root)

    def rivals(self):
        """QEMU's nvme with as much nothing, and with the very same file."""
        size = self.plan.volume_bytes
        return ["-blockdev", f"null-co,node-name=null,size={size},read-zeroes=off",
                "-device", "nvme,drive=null,serial=rival-null",
                "-blockdev", f"file,node-name=file,filename={self.file},"
                "aio=io_uring,locking=off",
                "-device", "nvme,drive=file,serial=rival-file"]

    def run_loads(self, names, card, guest):
        pid = guest.qemu_pid
        processors = [task for task in machine.tasks(pid)
                      if machine.comm(pid, task).startswith("CPU ")]
        machine.pin(pid, machine.DEVICE)
        machine.pin(pid, machine.CLIENT, processors)
        disks = disks_of(guest)
        for name in names:
            if not self.plan.has_time(self.table, name, 25):
                continue
            _, volume, load = name.split("/")
            job = next(job for job in JOBS if job.name == load)
            serials = {"ours": volume_id(list(VOLUMES).index(volume) + 1)
                       .replace("-", ""), "theirs": f"rival-{volume}"}
            found = {"ours": [], "theirs": []}
            for number in range(self.plan.rounds):
                for who, serial in serials.items():
                    self.table.progress(
                        f"{name}: round {number + 1} of {self.plan.rounds}")
                    found[who].append(self.measure(
                        guest, card, processors, disks[serial], job))
            for unit in found["ours"][0]:
                self.table.add(compare(
                    name, unit, [one[unit] for one in found["ours"]], PEER,
                    [one[unit] for one in found["theirs"]]))

    def measure(self, guest, card, processors, disk, job):
        """The guest's rate, and what its I/O has cost outside of it."""
        pid, seconds = guest.qemu_pid, self.plan.seconds
        outside = [task for task in machine.tasks(pid) if task not in processors]

        def costs():
            return (machine.cpu_ns(pid, [pid]),
                    machine.cpu_ns(pid, outside) + machine.cpu_ns(card.process.pid))

        before = costs()
        said = guest.run(
            f"fio --name=bench --filename={disk} --direct=1 --ioengine=libaio "
            f"{' '.join(job.words())} --runtime={seconds} --time_based --minimal"
            " | cut -d';' -f8,49", seconds + 120)
        rate = sum(map(float, re.search(r"^(\d+);(\d+)$", said, re.M).groups()))
        main, both = (b - a for a, b in zip(before, costs()))
        count = max(rate * seconds, 1)
        return {"IOPS": rate, "ns main/IO": main / count, "ns cpu/IO": both / count}

    # From power-on to the first line.

    def run_power_on(self, root):
        ours, theirs = [], []
        with PinnedCard([root]) as card:
            words = machine_words(card)
            rival = with_nvme(words, self.root)
            for number in range(1 if self.plan.is_quick else self.plan.rounds):
                self.table.progress(
                    f"{POWER_ON}: round {number + 1} of {self.plan.rounds}")
                ours.append(seconds_to_line(words))
                theirs.append(seconds_to_line(rival))
        self.table.add(compare(POWER_ON, "s", ours, PEER, theirs))


def volume_id(number):
    return f"vol-0fedcba987654321{number}"


def disks_of(guest):
    """The guest's block devices by their serial number."""
    said = guest.run("cd /sys/class/nvme && grep . nvme*/serial")
    return {serial.strip(): f"/dev/{name}n1" for name, serial in
            re.findall(r"^(nvme\d+)/serial:(.*)$", said, re.M)}


def machine_words(card):
    """How `nitroctl boot` starts its machine, with the console on stdout."""
    with Guest(card, options=["--cpus", "1"]) as guest:
        words = pathlib.Path(f"/proc/{guest.qemu_pid}/cmdline").read_bytes()
    words = words.decode().split("\0")[:-1]
    pairs = iter(words[first_option(words):])
    kept = words[:first_option(words)]
    for word in pairs:
        if word in ("-nodefaults", "-no-user-config"):
            kept.append(word)
            continue
        value = next(pairs)
        if word not in ("-serial", "-chardev", "-qmp"):
            kept += [word, value]
    return kept + ["-serial", "stdio"]


def first_option(words):
    return words.index("-nodefaults")


def with_nvme(words, image):
    """The same machine; its disk is QEMU's own."""
    place = next(i for i, word in enumerate(words) if "vfio-user-pci" in word)
    device = json.loads(words[place])
    nvme = {"driver": "nvme", "drive": "root", "serial": "root",
            "addr": device["addr"], "bootindex": device["bootindex"]}
    return (words[:place - 1] +
            ["-blockdev", f"file,node-name=root,filename={image},"
             "aio=io_uring,locking=off",
             "-device", json.dumps(nvme)] + words[place + 1:])


def seconds_to_line(words, line=b"Linux version", timeout=90):
    start = time.monotonic()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b""
    try:
        while line not in said:
            left = start + timeout - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                raise Failure(f"no kernel within {timeout} s of power-on")
            data = os.read(process.stdout.fileno(), 1 << 16)
            if not data:
                raise Failure("QEMU ended: " + said.decode(errors="replace")[-200:])
            said += data
        return time.monotonic() - start
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
