# SPDX-License-Identifier: BSD-3-Clause
"""Cases about the card as a whole: what many volumes cost while nobody asks."""
import re
import subprocess
import time

import machine
from figures import compare
from guest import Failure, ebs

MANY = 256
IDLE = f"card/idle-{MANY}"
LIMIT_MIB = 2.0                     # of each volume beyond the first
LIMIT_NS_PER_S = 1e5                # a ten-thousandth of a processor


def cases(is_quick):
    yield IDLE, f"{MANY} idle volumes in one process, beside the set limits"


def run(plan, table):
    if not plan.has(IDLE):
        return
    table.progress(IDLE)
    try:
        run_idle(plan, table)
    except (Failure, OSError, subprocess.TimeoutExpired) as why:
        table.say(f"{IDLE}: not measured: {str(why).splitlines()[0]}")


def run_idle(plan, table):
    one, _ = idle(1, 1)
    many, spent = idle(MANY, 2 * plan.seconds + 1)
    table.add(compare(IDLE, "MiB/volume", [(many - one) / (MANY - 1)], "limit",
                      [LIMIT_MIB]))
    table.add(compare(IDLE, "ns cpu/s", [spent], "limit", [LIMIT_NS_PER_S]))


def idle(count, seconds):
    """MiB that so many volumes take, and processor time in a second of rest."""
    volumes = [ebs(f"ebs{i}", {"memory": 64 << 20}, f"vol-{i:017x}",
                   f"/dev/nvme{i}") for i in range(count)]
    with machine.PinnedCard(volumes) as card:
        time.sleep(1)               # the start is over
        before, start = machine.cpu_ns(card.process.pid), time.monotonic()
        time.sleep(seconds)
        spent = machine.cpu_ns(card.process.pid) - before
        return anonymous_mib(card), spent / (time.monotonic() - start)


def anonymous_mib(card):
    """Files are shared by all processes that map them."""
    return int(re.search(r"RssAnon:\s+(\d+) kB", card.proc("status"))[1]) / 1024
