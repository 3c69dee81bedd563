# SPDX-License-Identifier: BSD-3-Clause
"""Attestation documents per second, beside the signatures that each needs one
of: what OpenSSL makes of the same curve on the same processor.  Both are of
processor time."""
import subprocess
import tempfile

import machine
from figures import compare
from guest import Failure

CASE = "chip/documents"
CASES = {CASE: "attestation documents on one core, beside bare ECDSA signatures"}


def cases(is_quick):
    return CASES.items()


def run(plan, table):
    if not plan.has(CASE) or not plan.has_time(table, CASE,
                                               6 * plan.rounds * plan.seconds):
        return
    table.progress(CASE)
    try:
        with tempfile.TemporaryDirectory() as state:
            rounds = [(documents(state, plan.seconds), signatures(plan.seconds))
                      for _ in range(plan.rounds)]
    except (Failure, OSError, ValueError, subprocess.TimeoutExpired) as why:
        table.say(f"{CASE}: not measured: {str(why).splitlines()[0]}")
        return
    ours, theirs = zip(*rounds)
    table.add(compare(CASE, "documents/s", ours, "openssl speed", theirs))


def documents(state, seconds):
    return float(machine.output_of(machine.pinned(
        machine.DEVICE, machine.program("attest-document"), state, "--measure",
        seconds)))


def signatures(seconds):
    """Per second: the last line is times to sign and verify, then their rates."""
    text = machine.output_of(machine.pinned(
        machine.DEVICE, "openssl", "speed", "-seconds", seconds, "ecdsap384"))
    words = text.splitlines()[-1].split()
    if "nistp384" not in text.splitlines()[-1]:
        raise Failure("openssl speed says something else than it used to")
    return float(words[-2])
