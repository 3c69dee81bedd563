#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Make the table of a program's system calls from what its files declare.

syscalls.py TABLE.c NAME SANITIZED SOURCE...

A file declares in comments the calls that it makes once the filter is set; a
declaration ends with the comment, at an empty line, or where the next begins:

    syscalls: accept4 fcntl mmap[2&PROT_EXEC=0]
    syscalls: socketpair[0=AF_UNIX,1=SOCK_SEQPACKET|SOCK_CLOEXEC]
    syscalls(sanitize): sigaltstack

[argument=value] and [argument&mask=value] are conditions, in C: a call may be
made if all in a pair of brackets are met; of a call that is declared several
times, one declaration must fit.  `sanitize`: only in builds with sanitizers.
"""
import pathlib
import re
import sys

LINE = re.compile(r"^\s*(?:/\*|\*)\s*syscalls(?:\((\w+)\))?:\s*(.*?)\s*(?:\*/)?$")
MORE = re.compile(r"^\s*\*(?!/)\s*(\S.*?)\s*(?:\*/)?$")
CALL = re.compile(r"([a-z0-9_]+)(?:\[([^\]]+)\])?$")
CONDITION = re.compile(r"([0-5])(?:&([^=]+))?=(.+)$")
MOST_CONDITIONS = 2
# A name that libseccomp does not know does not compile; a call that this
# processor's kernel does not have is a negative number there.
HEAD = """\
/* Made by syscalls.py from the comments of the sources; see there. */
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/rt/sandbox.h"

size_t %(name)s(struct rt_sandbox_call *out, size_t room);

size_t %(name)s(struct rt_sandbox_call *out, size_t room)
{
	const struct rt_sandbox_call calls[] = {
"""
TAIL = """\
	};
	size_t count = sizeof calls / sizeof calls[0];

	if (count <= room)
		memcpy(out, calls, sizeof calls);
	return count;
}
"""


def conditions(text, place):
    """Yields (argument, mask, value), in C."""
    for part in text.split(",") if text else ():
        match = CONDITION.match(part)
        if not match:
            sys.exit(f"{place}: '{part}' is not ARGUMENT=VALUE or ARGUMENT&MASK=VALUE")
        argument, mask, value = match.groups()
        yield argument, f"(uint64_t)({mask or '-1'})", f"(uint64_t)({value})"


def declared(path, is_sanitized):
    """Yields (call, its conditions, place)."""
    when, is_open = None, False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        begin, more, place = LINE.match(line), is_open and MORE.match(line), f"{path}:{number}"
        words = begin[2] if begin else more[1] if more else ""
        when = begin[1] if begin else when
        is_open = bool(begin or more) and "*/" not in line
        if when not in (None, "sanitize"):
            sys.exit(f"{place}: '{when}' is not sanitize")
        for word in words.split():
            call = CALL.match(word)
            if not call:
                sys.exit(f"{place}: '{word}' is not CALL or CALL[CONDITION,...]")
            where = tuple(conditions(call[2], place))
            if len(where) > MOST_CONDITIONS:
                sys.exit(f"{place}: more than {MOST_CONDITIONS} conditions")
            if not when or is_sanitized:
                yield call[1], where, place


def row(call, where, place):
    tests = ", ".join(f"{{ {', '.join(test)} }}" for test in where)
    fields = f"SCMP_SYS({call}), {len(where)}" + (f", {{ {tests} }}" if where else ", { { 0 } }")
    return f"\t\t{{ {fields} }}, /* {place} */\n"


def main():
    table, name, sanitized, *sources = sys.argv[1:]
    rows = {}
    for path in sorted(map(pathlib.Path, sources)):
        for call, where, place in declared(path, bool(sanitized)):
            rows.setdefault((call, where), place)
    # A call without a condition makes the others needless.
    kept = [key for key in sorted(rows) if not key[1] or (key[0], ()) not in rows]
    text = "".join(row(*key, rows[key]) for key in kept)
    pathlib.Path(table).write_text(HEAD % {"name": name} + text + TAIL)


main()
