# SPDX-License-Identifier: BSD-3-Clause
"""How long a card takes from its start to its release, verified and by hand."""
import time

import machine
from figures import compare
from guest import Card, Failure, ebs
from verified import VerifiedCard

CASE = "boot/release"


def cases(is_quick):
    return ((CASE, "from the start of nitro-rom until all functions serve, beside "
                   "nitro-card started by hand"),)


def run(plan, table):
    if not plan.has(CASE):
        return
    table.progress(CASE)
    try:
        machine.program("nitro-rom")
        pairs = [(start(VerifiedCard), start(Card)) for _ in range(plan.rounds)]
    except (Failure, OSError) as why:
        table.say(f"{CASE}: not measured: {str(why).splitlines()[0]}")
        return
    ours, theirs = zip(*pairs)
    table.add(compare(CASE, "ms", ours, "by hand", theirs))


def start(kind):
    """Milliseconds; the image is signed and installed, and once started, before."""
    with kind([ebs("ebs0", {"memory": 64 << 20})]) as card:
        card.stop()
        begin = time.monotonic()
        card.start(step=0.001)
        return (time.monotonic() - begin) * 1e3
