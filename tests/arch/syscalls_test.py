#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What firmware/rt/syscalls.py makes of declarations, good and bad."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "firmware/rt/syscalls.py"


def make(*comments, sanitized=""):
    """The tool's exit status, complaint and table, of a file per comment."""
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder, "table.c")
        sources = []
        for number, comment in enumerate(comments):
            sources.append(pathlib.Path(folder, f"{number}.c"))
            sources[-1].write_text(f"/*\n{comment}\n */\nint i;\n")
        done = subprocess.run([sys.executable, TOOL, table, "calls", sanitized, *sources],
                              capture_output=True, text=True)
        return done.returncode, done.stderr, table.read_text() if table.exists() else ""


def rows(*comments, **kind):
    status, complaint, table = make(*comments, **kind)
    assert not status, complaint
    return [line.split("/*")[0].strip() for line in table.splitlines() if "SCMP_SYS" in line]


class Declarations(unittest.TestCase):
    def test_calls_of_all_files_are_in_it_once(self):
        self.assertEqual(rows(" * syscalls: read write", " * syscalls: write close"),
                         [f"{{ SCMP_SYS({call}), 0, {{ {{ 0 }} }} }}," for call in
                          ("close", "read", "write")])

    def test_one_goes_on_until_an_empty_line(self):
        self.assertEqual(len(rows(" * syscalls: read\n * write close\n *\n * and so on")), 3)
        self.assertEqual(len(rows("// syscalls: read", " * syscalls: write */\n* close")), 1)

    def test_conditions_are_kept(self):
        row, = rows(" * syscalls: mmap[2&PROT_EXEC=0]")
        self.assertIn("SCMP_SYS(mmap), 1, { { 2, (uint64_t)(PROT_EXEC), (uint64_t)(0) } }", row)
        row, = rows(" * syscalls: socketpair[0=AF_UNIX,1=SOCK_STREAM|SOCK_CLOEXEC]")
        self.assertIn("2, { { 0, (uint64_t)(-1), (uint64_t)(AF_UNIX) }, "
                      "{ 1, (uint64_t)(-1), (uint64_t)(SOCK_STREAM|SOCK_CLOEXEC) } }", row)

    def test_each_condition_is_a_row_and_none_at_all_is_the_only_one(self):
        self.assertEqual(len(rows(" * syscalls: prctl[0=1] prctl[0=2]")), 2)
        self.assertEqual(rows(" * syscalls: prctl[0=1]", " * syscalls: prctl"),
                         ["{ SCMP_SYS(prctl), 0, { { 0 } } },"])

    def test_a_sanitizer_has_more(self):
        words = " * syscalls: read\n * syscalls(sanitize): ptrace"
        self.assertEqual(len(rows(words)), 1)
        self.assertEqual(len(rows(words, sanitized="address")), 2)

    def test_text_is_no_declaration(self):
        self.assertEqual(rows(" * what is said of syscalls: read"), [])

    def test_mistakes_have_a_place(self):
        for words in (" * syscalls: read,write", " * syscalls: Read", " * syscalls: read syscalls: write", " * syscalls: mmap[7=0]",
                      " * syscalls: mmap[x]", " * syscalls: f[0=1,1=1,2=1]",
                      " * syscalls(later): read", " * syscalls: mmap[0=1"):
            status, complaint, table = make(words)
            self.assertEqual((status, table), (1, ""), words)
            self.assertIn("0.c:2: ", complaint)


unittest.main()
