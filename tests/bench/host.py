# SPDX-License-Identifier: BSD-3-Clause
"""Cases without a guest: the card, and who else reads and writes blocks here."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

import instructions
import machine
from figures import compare
from guest import Failure, ebs, wait_until

CARD_NAME = "ebs0"


@dataclass(frozen=True)
class Job:
    """What is asked of a device, in fio's words."""
    rw: str
    bs: str
    depth: int

    @property
    def name(self):
        return f"{self.bs}-{self.rw}-qd{self.depth}"

    def words(self):
        return [f"--rw={self.rw}", f"--bs={self.bs}", f"--iodepth={self.depth}"]


JOBS = (Job("randread", "4k", 1), Job("randread", "4k", 32),
        Job("randread", "4k", 128), Job("randwrite", "4k", 32),
        Job("randwrite", "4k", 128),
        Job("read", "128k", 32), Job("write", "128k", 32))
QUICK_COUNT = "null", "randread"


def function(volume):
    """Of the card's configuration.  The default is too short for depth 128."""
    made = ebs(CARD_NAME, volume)
    made["ebs"]["queue-entries"] = 256
    return made


# Who takes part.  measure() gives {"IOPS": …, "cpu ns/IO": …, …}.

class OurCard:
    """nitro-card on its processor, nitro-perf on the client's."""
    name = "plain"                      # where it stands beside itself

    def __init__(self, volume):
        self.volume = volume

    def __enter__(self):
        self.card = machine.PinnedCard([function(self.volume)])
        self.card.__enter__()
        if "memory" in self.volume:
            self.fill()
        return self

    def __exit__(self, *why):
        self.card.__exit__(*why)

    def perf(self, *words, timeout=120):
        folder = self.card.folder
        text = machine.output_of(
            machine.pinned(machine.CLIENT, machine.program("nitro-perf"),
                           folder / f"{CARD_NAME}.sock", "--json",
                           f"--control={folder / 'control.sock'}", *words),
            timeout)
        return json.loads(text)

    def fill(self):
        """What was never written is no memory yet, and too quickly read."""
        self.perf("--rw=write", "--bs=128k", "--iodepth=32",
                  f"--number_ios={self.volume['memory'] >> 17}", "--runtime=0")

    def measure(self, job, seconds):
        said = self.perf(*job.words(), f"--runtime={seconds}",
                         f"--ramp_time={seconds * 200}ms", timeout=seconds * 3 + 60)
        spent = said["cpu"]["device_ns_per_io"]
        busy = said["cpu"]["device_busy_ns_per_io"]
        if busy is not None and spent is not None:
            busy = min(busy, spent)     # by the clock, others' work counts as well
        found = {"IOPS": said["all"]["iops"], "ns cpu/IO": spent,
                 "ns busy/IO": busy}
        return {unit: figure for unit, figure in found.items() if figure is not None}


def fio(words, job, size, seconds, timeout=60):
    """fio's rate, in I/Os per second."""
    text = machine.output_of(
        words + ["--name=bench", *job.words(), f"--size={size}",
                 f"--runtime={seconds}s", f"--ramp_time={seconds * 200}ms",
                 "--time_based", "--thread", "--norandommap", "--randrepeat=0",
                 "--output-format=json"], seconds * 3 + timeout)
    # What it complains of comes before the object.
    said = json.loads(text[text.index("{"):])["jobs"][0]
    return said["read"]["iops"] + said["write"]["iops"]


class RawFio:
    """fio by io_uring on the file itself, where the card would run."""
    name = "fio io_uring"

    def __init__(self, path, size, is_direct):
        self.path, self.size, self.is_direct = path, size, is_direct

    def __enter__(self):
        return self

    def __exit__(self, *why):
        pass

    def measure(self, job, seconds):
        words = machine.pinned(
            machine.DEVICE, machine.RIVALS / "fio", "--ioengine=io_uring",
            f"--filename={self.path}", f"--direct={int(self.is_direct)}",
            # What is in the page cache stays there.
            "--invalidate=0")
        return {"IOPS": fio(words, job, self.size, seconds)}


class StorageDaemon:
    """qemu-storage-daemon's vhost-user-blk export, under fio's libblkio."""
    name = "qsd vhost"

    def __init__(self, blockdev, size):
        self.blockdev, self.size = blockdev, size

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-qsd-"))
        self.socket, log = self.folder / "blk.sock", self.folder / "log"
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                machine.pinned(
                    machine.DEVICE, machine.RIVALS / "qemu-storage-daemon",
                    "--object", "iothread,id=io", "--blockdev", self.blockdev,
                    "--export", "vhost-user-blk,id=blk,node-name=disk,"
                    "writable=on,iothread=io,addr.type=unix,"
                    f"addr.path={self.socket}"),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until(self.is_ready, 20, "qemu-storage-daemon")
        except Failure:
            self.__exit__()
            raise
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            said = (self.folder / "log").read_text().strip().splitlines()
            raise Failure(f"qemu-storage-daemon: {(said or ['ended'])[-1]}")
        return self.socket.is_socket()

    def __exit__(self, *why):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def measure(self, job, seconds):
        words = machine.pinned(
            machine.CLIENT, machine.RIVALS / "fio", "--ioengine=libblkio",
            "--libblkio_driver=virtio-blk-vhost-user",
            f"--libblkio_path={self.socket}", "--libblkio_queue_size=256",
            # It reaps what is there rather than one at a time.
            f"--iodepth_batch_complete_max={job.depth}")
        before = machine.cpu_ns(self.process.pid)
        rate = fio(words, job, self.size, seconds)
        spent = machine.cpu_ns(self.process.pid) - before
        # The ramp was work as well.
        return {"IOPS": rate, "ns cpu/IO": spent / (rate * seconds * 1.2)}


class BestCopy:
    """How fast this machine copies between a store and a client's buffers."""
    name = "best copy"

    def __init__(self, is_quick):
        self.words = ["--json"] + ["--quick"] * is_quick

    def __enter__(self):
        text = machine.output_of(machine.pinned(
            machine.DEVICE, machine.program("bench-copy"),
            *self.words))
        self.lines = [json.loads(line) for line in text.splitlines()]
        return self

    def __exit__(self, *why):
        pass

    def measure(self, job, _seconds):
        way = "copy-read" if "read" in job.rw else "copy-write"
        size = int(job.bs[:-1]) << 10
        least = min(line["ns"] for line in self.lines
                    if line["case"] == way and line["bytes"] == size)
        return {"IOPS": 1e9 / least, "ns busy/IO": least}


class OpenSSL:
    """What the library that everybody has makes of the same cipher."""
    name = "openssl speed"

    def __enter__(self):
        return self

    def __exit__(self, *why):
        pass

    def measure(self, job, seconds):
        size = int(job.bs[:-1]) << 10
        way = [] if "write" in job.rw else ["-decrypt"]
        text = machine.output_of(machine.pinned(
            machine.DEVICE, "openssl", "speed", "-seconds", seconds, "-bytes",
            size, *way, "-evp", "aes-256-xts"))
        name, rate = text.splitlines()[-1].split()
        if name != "AES-256-XTS" or not rate.endswith("k"):
            raise Failure("openssl speed says something else than it used to")
        rate = float(rate[:-1]) * 1000 / size
        return {"IOPS": rate, "ns busy/IO": 1e9 / rate}


# The cases: a volume, and who stands beside it.

@dataclass
class Volume:
    name: str
    what: str
    folder: str = None                      # where its file lies, if it has one
    is_direct: bool = False
    jobs: tuple = JOBS
    quick_jobs: tuple = ("4k-randread-qd32", "4k-randwrite-qd32")


VOLUMES = [
    Volume("null", "no storage: what the device itself costs"),
    Volume("memory", "beside the machine's best copy of as many bytes"),
    Volume("encrypted", "a volume in memory by XTS-AES-256, beside a plain one",
           quick_jobs=()),
    Volume("tmpfs", "a file on tmpfs", folder="/dev/shm"),
    Volume("page", "a file on disk, in the page cache", folder="disk",
           quick_jobs=("4k-randread-qd32",)),
    Volume("direct", "a file on disk, past the page cache", folder="disk",
           is_direct=True, quick_jobs=()),
]


def cases(is_quick):
    """(name, description) of each."""
    for volume in VOLUMES:
        for job in jobs_of(volume, is_quick):
            yield f"host/{volume.name}/{job.name}", volume.what


def jobs_of(volume, is_quick):
    if not is_quick:
        return volume.jobs
    return [job for job in volume.jobs if job.name in volume.quick_jobs]


def make_file(folder, size):
    """A file that is all there, of bytes that are not zero."""
    handle, path = tempfile.mkstemp(prefix="bench-", suffix=".img", dir=folder)
    block = os.urandom(1 << 20)
    with os.fdopen(handle, "wb") as file:
        for _ in range(size >> 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return path


def contenders(volume, path, size, is_quick):
    """Our volume as the card's configuration has it, and the rivals."""
    if volume.name == "null":
        return {"null": size}, [StorageDaemon(
            f"null-co,node-name=disk,size={size},read-zeroes=off", size)]
    if volume.name == "memory":
        return {"memory": size}, [BestCopy(is_quick)]
    if volume.name == "encrypted":
        return ({"memory": size, "encrypted": True},
                [OurCard({"memory": size}), OpenSSL()])
    ours = {"file": path}
    if volume.is_direct:
        ours["cache"] = "direct"
    daemon = StorageDaemon(
        f"file,node-name=disk,filename={path},aio=io_uring,locking=off,"
        f"cache.direct={'on' if volume.is_direct else 'off'}", size)
    return ours, [RawFio(path, size, volume.is_direct), daemon]


def run(plan, table):
    """Measure what the plan has chosen of these cases."""
    for volume in VOLUMES:
        chosen = [job for job in jobs_of(volume, plan.is_quick)
                  if plan.has(f"host/{volume.name}/{job.name}")]
        if not chosen:
            continue
        if not plan.has_time(table, f"host/{volume.name}", 60):
            continue
        try:
            run_volume(plan, table, volume, chosen)
        except (Failure, OSError, ValueError, subprocess.TimeoutExpired) as why:
            table.say(f"host/{volume.name}: not measured: "
                      f"{str(why).splitlines()[0]}")


def run_volume(plan, table, volume, chosen):
    size, path = plan.volume_bytes, None
    if volume.folder:
        folder = plan.folder if volume.folder == "disk" else volume.folder
        table.progress(f"host/{volume.name}: writing a file")
        path = make_file(folder, size)
    try:
        ours, rivals = contenders(volume, path, size, plan.is_quick)
        with contextlib.ExitStack() as stack:
            card = stack.enter_context(OurCard(ours))
            rivals = [rival for rival in rivals
                      if opened(stack, rival, volume, table)]
            for job in chosen:
                if not plan.has_time(table, f"host/{volume.name}/{job.name}", 60):
                    continue
                run_job(plan, table, volume, job, card, rivals)
    finally:
        if path:
            os.unlink(path)


def opened(stack, rival, volume, table):
    try:
        stack.enter_context(rival)
    except (Failure, OSError) as why:
        table.say(f"host/{volume.name}: no {rival.name}: "
                  f"{str(why).splitlines()[0]}")
        return False
    return True


def run_job(plan, table, volume, job, card, rivals):
    case = f"host/{volume.name}/{job.name}"
    found = {}
    for number in range(plan.rounds):
        for who in [card, *rivals]:
            table.progress(f"{case}: round {number + 1} of {plan.rounds}")
            found.setdefault(who, []).append(who.measure(job, plan.seconds))
    count = instructions_of(plan, table, volume, job, card, case)
    for rival in rivals:
        for unit in found[rival][0]:
            if unit in found[card][0]:
                table.add(compare(case, unit,
                                  [one[unit] for one in found[card]], rival.name,
                                  [one[unit] for one in found[rival]], count))


def instructions_of(plan, table, volume, job, card, case):
    """Of the card, for each I/O; None where they are not counted."""
    if job.depth != 32 or (plan.is_quick and (volume.name, job.rw) != QUICK_COUNT):
        return None
    if volume.folder:       # it is locked, and has been measured with care
        return None
    times = 1 if plan.is_quick else 3
    table.progress(f"{case}: counts instructions")
    try:
        return instructions.per_io(function(card.volume), CARD_NAME, job, times)
    except (Failure, OSError, subprocess.TimeoutExpired) as why:
        table.say(f"{case}: instructions not counted: {str(why).splitlines()[0]}")
        return None
