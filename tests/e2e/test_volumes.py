# SPDX-License-Identifier: BSD-3-Clause
"""Many volumes of one card: what they cost, and how they share a processor."""
import json
import subprocess

import pytest

import checks
from guest import BUILD, Card, ebs

IDLE = 256
BUSY = 64
LIMIT_KIB = 2048        # of each volume beyond the first
LIMIT_CPU = 0.01        # of a processor, for all that are open and at rest
LEAST_SHARE = 0.75      # of what each would get if all got the same


def card_of(count, workers=0):
    volumes = [ebs(f"ebs{i}", {"memory": 16 << 20}, f"vol-{i:017x}",
                   f"/dev/nvme{i}") for i in range(count)]
    return Card(volumes, {"workers": workers})


def drive(card, count, *options):
    """Open the volumes with a driver each; what bench-volumes has to say."""
    done = subprocess.run(
        [BUILD / "bench-volumes", "--json", "--volumes", str(count),
         *options, card.folder], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_idle_volumes_take_no_processor_and_little_memory():
    with card_of(1) as card:
        one = drive(card, 1, "--idle", "--settle", "1", "--seconds", "1")
    with card_of(IDLE) as card:
        assert checks.idle(card, 10) == 0
        all_of_them = drive(card, IDLE, "--idle", "--seconds", "10")
    assert all_of_them["cpu_ns_per_s"] / 1e9 <= LIMIT_CPU
    kib = (all_of_them["card_kib"] - one["card_kib"]) / (IDLE - 1)
    assert kib <= LIMIT_KIB


@pytest.mark.parametrize("greedy", [[], ["--greedy", "--depth", "4"]])
def test_busy_volumes_share_a_worker_fairly(greedy):
    with card_of(BUSY, workers=1) as card:
        got = drive(card, BUSY, "--seconds", "5", *greedy)
    assert got["least"] >= LEAST_SHARE
