# SPDX-License-Identifier: BSD-3-Clause
"""`./bench`: our card beside every rival that Debian offers, in turns."""
import argparse
import fnmatch
import math
import os
import signal
import subprocess
import sys
import time

import machine
from figures import Table

import boot                         # noqa: E402, needs machine's path
import card                         # noqa: E402
import documents                    # noqa: E402
import guests                       # noqa: E402
import host                         # noqa: E402
import nics                         # noqa: E402
import packets                      # noqa: E402

PARTS = (host, card, boot, documents, guests, packets, nics)
QUICK_SECONDS = 115


class Plan:
    """How much is measured, and where files may lie."""

    def __init__(self, options):
        self.is_quick = options.quick
        self.only = options.only
        self.rounds = options.rounds or (2 if options.quick else 3)
        self.seconds = options.seconds or (1 if options.quick else 2)
        self.volume_bytes = (256 if options.quick else 1024) << 20
        self.folder = machine.CACHE
        self.end = time.monotonic() + QUICK_SECONDS if options.quick else math.inf

    def has(self, case):
        """A pattern is for a whole name, or for the start of one."""
        return not self.only or any(
            fnmatch.fnmatchcase(case, pattern) or
            fnmatch.fnmatchcase(case, pattern.rstrip("/") + "/*")
            for pattern in self.only)

    def has_time(self, table, case, seconds):
        """Whether so many seconds are left; if not, the reader is told."""
        if time.monotonic() + seconds <= self.end:
            return True
        table.say(f"{case}: left out, or this would not be quick")
        return False

    def cases(self):
        for part in PARTS:
            for name, what in part.cases(self.is_quick):
                if self.has(name):
                    yield name, what


def parse():
    parser = argparse.ArgumentParser(prog="./bench", add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only", action="append", metavar="PATTERN")
    parser.add_argument("--rounds", type=natural)
    parser.add_argument("--seconds", type=natural)
    return parser.parse_args()


def natural(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def list_cases(cases):
    width = max(len(name) for name, _ in cases)
    for name, what in cases:
        print(f"{name:<{width}}  {what}")


def announce(table, plan):
    table.say(machine.describe())
    load = os.getloadavg()[0]
    if load > 1:
        table.say(f"this machine has other work (load {load:.1f}): trust no "
                  "figure whose spread is wide")
    if machine.CLIENT == machine.DEVICE:
        table.say("one core for client and device alike: the figures are of "
                  "both sides together")
    else:
        table.say(f"client on processor {machine.CLIENT}, device on "
                  f"{machine.DEVICE}; {plan.rounds} rounds of {plan.seconds} s, "
                  "in turns; medians, and the spread of the ratio; a ratio "
                  "above 1 is better for us")
    tell_distance(table)


def tell_distance(table):
    """It changes when a virtual machine's processors are moved."""
    if machine.CLIENT == machine.DEVICE:
        return
    try:
        table.say("a cache line goes from one to the other and back in "
                  f"{machine.line_ns()} ns now")
    except (machine.Failure, subprocess.TimeoutExpired) as why:
        table.say(f"how far they are from each other: {why}")


def main():
    # Leave no card, guest or rival behind, also when told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    options = parse()
    plan = Plan(options)
    cases = list(plan.cases())
    if not cases:
        print(f"./bench: no case matches {' '.join(plan.only)}; see --list",
              file=sys.stderr)
        return 2
    if options.list:
        list_cases(cases)
        return 0
    table = Table(options.json)
    announce(table, plan)
    os.makedirs(plan.folder, exist_ok=True)
    for part in PARTS:
        part.run(plan, table)
    table.forget_progress()
    tell_distance(table)
    return 0 if table.count else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
