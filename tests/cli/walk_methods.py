#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""walk_methods.py SOCKET MARKER [KEY-FILE...]: call every method that the card
describes, with every function, verb and register that there is, and look for the
marker and the keys in all answers."""
import base64
import itertools
import json
import pathlib
import socket
import sys

path, marker, *files = sys.argv[1:]
control = socket.socket(socket.AF_UNIX)
control.settimeout(20)
control.connect(path)
lines = control.makefile("rw")
answers = [lines.readline()]


def call(method, params):
    lines.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                            "params": params}) + "\n")
    lines.flush()
    answers.append(lines.readline())
    return json.loads(answers[-1])


def spellings(secret):
    """A secret as it is, in hexadecimal and in base64 at each offset."""
    yield secret.decode("latin-1")
    yield secret.hex()
    yield secret.hex().upper()
    for shift in range(3):
        yield base64.b64encode(bytes(shift) + secret).decode()[4 * (shift > 0):-4]


functions = [f["name"] for f in call("function.list", {})["result"]["functions"]]
verbs = {f: [v["name"] for v in
             call("function.verbs", {"function": f})["result"]["verbs"]]
         for f in functions}
methods = call("rpc.describe", {})["result"]["methods"]
words = {"verb": sorted(set(itertools.chain(*verbs.values()))), "pattern": ["*"],
         "function": functions, "target": functions, "point": ["*", "io_status"],
         "config": [False, True], "all": [False, True]}
answered = 0
for method in methods:
    # Last, because nobody answers after it.
    if method["name"] == "card.stop":
        continue
    keys = sorted(method["params"].get("properties", {}))
    choices = [words.get(key, [None]) for key in keys]
    for values in itertools.product(*choices):
        params = {k: v for k, v in zip(keys, values) if v is not None}
        answered += "result" in call(method["name"], params)
text = "".join(answers) + "".join(json.dumps(json.loads(a), ensure_ascii=False)
                                  for a in answers)
found = [s for secret in [marker.encode()] + [pathlib.Path(f).read_bytes() for f in files]
         for s in spellings(secret) if s in text]
print(f"{len(methods)} methods, {len(answers)} answers, {answered} of them good, "
      f"{len(text)} characters:", "found " + repr(found) if found else "nothing")
sys.exit(bool(found) or answered < len(methods) - 4)
