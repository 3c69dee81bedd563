# SPDX-License-Identifier: BSD-3-Clause
"""Instructions of the card for each I/O: a figure that other work on the
machine hardly moves.  Two loads of different length are counted and one is
subtracted from the other, so that start and end fall out.  A card that waits
for its client goes on looking, which counts as well: the client does not wait
for others if that can be had, and the least of a few counts is meant."""
import functools
import re
import subprocess

import machine
from guest import Failure

SHORT, LONG = 10_000, 40_000           # I/Os


@functools.cache
def has_counters():
    """Whether the processor's own counters can be read here."""
    try:
        done = subprocess.run(
            ["perf", "stat", "-x,", "-e", "instructions:u", "true"],
            capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and counted(done.stderr) is not None


def counted(text):
    """The figure in a line of `perf stat -x,`."""
    found = re.search(r"^(\d+),[^,]*,instructions", text, re.MULTILINE)
    return found and int(found[1])


class CallgrindCard(machine.PinnedCard):
    """A card that counts what it executes."""

    def command(self, config):
        self.counts = self.folder / "callgrind.out"
        words = super().command(config)
        return words[:3] + [machine.RIVALS / "callgrind",
                            f"--callgrind-out-file={self.counts}", *words[3:]]

    def total(self):
        text = self.counts.read_text()
        return int(re.search(r"^totals: (\d+)", text, re.MULTILINE)[1])


@functools.cache
def at_once():
    """Words before a command that let it run before all others, if allowed."""
    words = ["chrt", "--fifo", "1"]
    done = subprocess.run([*words, "true"], capture_output=True)
    return words if done.returncode == 0 else []


def load(card, name, job, count):
    """Words for nitro-perf: so many I/Os and no more."""
    return machine.pinned(
        machine.CLIENT, *at_once(), machine.program("nitro-perf"),
        card.folder / f"{name}.sock", "--json", *job.words(),
        f"--number_ios={count}", "--runtime=0")


def by_callgrind(function, name, job, count):
    # Callgrind makes system calls of its own.
    with CallgrindCard([function], {"sandbox": "off"}) as card:
        machine.output_of(load(card, name, job, count))
        card.stop()                     # the counts are written at the end
        return card.total()


def by_perf(function, name, job, count):
    with machine.PinnedCard([function]) as card:
        words = ["perf", "stat", "-x,", "-e", "instructions:u",
                 "-p", card.process.pid, "--", *load(card, name, job, count)]
        done = subprocess.run(list(map(str, words)), capture_output=True,
                              text=True, timeout=120)
    total = counted(done.stderr)
    if done.returncode != 0 or total is None:
        raise Failure(f"perf stat: {done.stderr.strip().splitlines()[-1]}")
    return total


def per_io(function, name, job, times):
    count = by_perf if has_counters() else by_callgrind
    # Long ones are copies for the most part, and slow to count.
    part = 20 if job.bs == "128k" else 1
    short, long = SHORT // part, LONG // part
    more, fewer = (min(count(function, name, job, n) for _ in range(times))
                   for n in (long, short))
    return (more - fewer) / (long - short)
