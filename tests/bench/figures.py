# SPDX-License-Identifier: BSD-3-Clause
"""What was measured, compared: rows of a table, or of JSON."""
import json
import re
import statistics
import sys
from dataclasses import asdict, dataclass

LESS = {"ns", "us", "ms", "s", "MiB"}         # units of which less is better
BEST = 1000.0                           # nothing is more than so many times better
COLUMNS = "{:<38} {:<13} {:>10} {:>10}  {:<13} {:>7}  {:<13} {:>7}"


class Skip(Exception):
    """A figure that cannot be had here; why, in one line."""


@dataclass
class Row:
    """Ours beside a peer's: medians; ratio is above 1 when ours is better."""
    case: str
    unit: str
    ours: float
    peer: str
    theirs: float
    ratio: float
    spread: list
    instructions: float = None          # of the card, per I/O


def is_less_better(unit):
    return re.split("[ /]", unit)[0] in LESS


def ratio_of(unit, ours, theirs):
    if is_less_better(unit):
        ours, theirs = theirs, ours
    return min(ours / theirs, BEST) if theirs else BEST


def compare(case, unit, ours, peer, theirs, instructions=None):
    """A row of figures that were taken in turns, a pair in each round."""
    ratios = [ratio_of(unit, a, b) for a, b in zip(ours, theirs)]
    return Row(case, unit, rounded(statistics.median(ours)), peer,
               rounded(statistics.median(theirs)),
               rounded(statistics.median(ratios)),
               [rounded(min(ratios)), rounded(max(ratios))],
               rounded(instructions))


def rounded(value):
    return None if value is None else float(f"{value:.4g}")


def plain(value):
    """A figure for people: 1,234,000 or 12.3 or 0.0123."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


class Table:
    """Prints each row when it is known, and what is missing."""

    def __init__(self, is_json):
        self.is_json = is_json
        self.has_title = False
        self.count = 0

    def add(self, row):
        self.count += 1
        self.forget_progress()
        if self.is_json:
            print(json.dumps(asdict(row)), flush=True)
            return
        if not self.has_title:
            self.has_title = True
            print(COLUMNS.format("case", "unit", "ours", "theirs", "peer",
                                 "ratio", "spread", "instr"))
        print(COLUMNS.format(
            row.case, row.unit, plain(row.ours), plain(row.theirs), row.peer,
            f"{row.ratio:.2f}", "{:.2f}..{:.2f}".format(*row.spread),
            plain(row.instructions)).rstrip(), flush=True)

    def say(self, text):
        """For people: beside the table, and never in the JSON."""
        self.forget_progress()
        print(f"-- {text}", file=sys.stderr if self.is_json else sys.stdout,
              flush=True)

    def progress(self, text):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def forget_progress(self):
        self.progress("")
