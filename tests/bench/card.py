# SPDX-License-Identifier: BSD-3-Clause
"""Cases about the card as a whole: many volumes, idle or all busy at once."""
import json
import subprocess

import machine
from figures import compare
from guest import Failure, ebs

IDLE, BUSY = 256, 64
CASES = {f"card/idle-{IDLE}": f"{IDLE} volumes, all open and at rest, beside set limits",
         f"card/busy-{BUSY}": f"the least share that one of {BUSY} busy volumes gets"}
LIMIT_MIB = 2.0                     # of each volume beyond the first
LIMIT_NS_PER_S = 1e7                # a hundredth of a processor, for all of them


def cases(is_quick):
    return () if is_quick else CASES.items()


def run(plan, table):
    measures = dict(zip(CASES, (run_idle, run_busy)))
    for case, _ in cases(plan.is_quick):
        if not plan.has(case):
            continue
        table.progress(case)
        try:
            measures[case](plan, table, case)
        except (Failure, OSError, ValueError, subprocess.TimeoutExpired) as why:
            table.say(f"{case}: not measured: {str(why).splitlines()[0]}")


def run_idle(plan, table, case):
    one = drive(1, "--idle", "--settle", "1", "--seconds", "1")
    # At first a card looks often whether somebody has rung.
    many = drive(IDLE, "--idle", "--settle", "20", "--seconds", "5")
    kib = (many["card_kib"] - one["card_kib"]) / (IDLE - 1)
    table.add(compare(case, "MiB/volume", [kib / 1024], "limit", [LIMIT_MIB]))
    table.add(compare(case, "ns cpu/s", [many["cpu_ns_per_s"]], "limit",
                      [LIMIT_NS_PER_S]))


def run_busy(plan, table, case):
    got = drive(BUSY, "--seconds", str(plan.seconds))
    table.add(compare(case, "share", [got["least"]], "even share", [1.0]))


def drive(count, *words):
    """What bench-volumes has to say of so many volumes, each with a driver."""
    volumes = [ebs(f"ebs{i}", {"memory": 16 << 20}, f"vol-{i:017x}",
                   f"/dev/nvme{i}") for i in range(count)]
    with machine.PinnedCard(volumes) as card:
        text = machine.output_of(machine.pinned(
            machine.CLIENT, machine.program("bench-volumes"), "--json",
            "--volumes", count, *words, card.folder))
    return json.loads(text)
