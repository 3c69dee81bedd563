# SPDX-License-Identifier: BSD-3-Clause
"""The card as a process on the host."""
import shlex
import subprocess
import time

import pytest

import checks
from guest import QEMU, wait_until


def test_idle_card_uses_no_cpu_and_little_memory(machine, card, guest):
    time.sleep(10)
    assert checks.idle(card, 10) / 10 <= 0.005
    assert card.resident_mib() < 20
    machine.end_guest()
    time.sleep(1)
    assert checks.idle(card, 5) == 0


def test_status_names_every_function(card):
    status = card.ctl("status")
    assert "ebs0" in status and "ebs1" in status


def test_qemu_args_attach_every_function(card):
    words = card.ctl("qemu-args")
    assert words.count("vfio-user-pci") == 2
    assert "share=on" in words


@pytest.mark.parametrize("kind", ["private memfd", "plain"])
def test_card_says_when_guest_memory_is_not_shared(machine, card, kind):
    machine.end_guest()
    words = shlex.split(card.ctl("qemu-args"))
    if kind == "plain":
        words = words[words.index("-device"):]
    words = [word.replace("share=on", "share=off") for word in words]
    said_before = log_lines(card)
    qemu = subprocess.Popen([QEMU, "-machine", "q35,accel=tcg", "-nodefaults",
                             "-display", "none", *words], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: "share=on" in "".join(log_lines(card)[len(said_before):]),
                   60, "the card's advice to use share=on")
    finally:
        qemu.kill()
        qemu.wait()
    card.must_run()


def log_lines(card):
    return card.log.read_text().splitlines()
