# SPDX-License-Identifier: BSD-3-Clause
"""This machine: its processors, who runs where, and what that has cost."""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "guest"))
from guest import BUILD, CACHE, Card, Failure     # noqa: E402

RIVALS = CACHE / "bench/bin"


def cores():
    """A processor for the client and one for the device: two cores, if any."""
    mine = sorted(os.sched_getaffinity(0))
    others = [cpu for cpu in mine if core_of(cpu) != core_of(mine[0])]
    return mine[0], (others or mine[1:] or mine)[0]


def core_of(cpu):
    folder = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
    try:
        return tuple((folder / name).read_text()
                     for name in ("physical_package_id", "core_id"))
    except OSError:
        return cpu


CLIENT, DEVICE = cores()


def pinned(cpu, *words):
    return ["taskset", "--cpu-list", str(cpu), *map(str, words)]


def line_ns():
    """That a cache line takes from CLIENT to DEVICE and back."""
    return int(output_of([program("bench-line"), CLIENT, DEVICE]))


class PinnedCard(Card):
    """A card that has the device's processor, with all its threads."""

    def command(self, config):
        program("nitro-card")           # taskset would not say what is missing
        return pinned(DEVICE, *super().command(config))


def tasks(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def cpu_ns(pid, threads=None):
    """Processor time of a process so far, or of some of its threads."""
    total = 0
    for task in tasks(pid) if threads is None else threads:
        try:
            text = pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text()
        except OSError:                     # it has ended since
            continue
        total += int(text.split()[0])
    return total


def comm(pid, task):
    return pathlib.Path(f"/proc/{pid}/task/{task}/comm").read_text()


def pin(pid, cpu, threads=None):
    for task in tasks(pid) if threads is None else threads:
        os.sched_setaffinity(task, [cpu])


def output_of(words, timeout=120, **more):
    """What a program prints; that it fails is a Failure with its last line."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL, **more)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failure(f"{name_of(words)} ended with "
                      f"{done.returncode}: {(said or ['(silence)'])[-1]}")
    return done.stdout


def name_of(words):
    """The program, not who pins it."""
    pinned_by = 3 if words[0] == "taskset" else 0
    return pathlib.Path(words[pinned_by]).name


def describe():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines()
                  if line.startswith("model name")), os.uname().machine)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (f"{model}, {os.cpu_count()} processors, {pages / 2**30:.0f} GiB, "
            f"Linux {os.uname().release}")


def program(name):
    path = BUILD / name
    if not path.exists():
        raise Failure(f"{path} is not built")
    return path
