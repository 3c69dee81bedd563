#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who may include whom.  An include is written from the root, so it is the arrow."""
import pathlib
import re
import sys

RT, PCIE = "firmware/rt", "pcie-model"
VERIFY = "security-chip/verify"
DEVICES = {"ena", "ebs-nvme", "security-chip"}
ARROWS = {
    RT: set(),
    PCIE: {RT},
    "ena": {RT, PCIE},
    "ebs-nvme": {RT, PCIE},
    # Believes documents; shares numbers with the side that signs, no code.
    VERIFY: {RT},
    "security-chip": {RT, PCIE},
    "firmware/card": {RT, PCIE} | DEVICES,
    "firmware/ctl": {RT, VERIFY, "security-chip"},
    "host-driver": {RT},
}
# A driver shares numbers with the device, never behaviour.
ABI = {"host-driver": DEVICES | {PCIE}, VERIFY: {"security-chip"}}
# A third-party header has one home; so has a folder of them.
HOMES = {
    "liburing.h": r"firmware/rt/loop\.c",
    "jansson.h": (r"firmware/(card|ctl)/.*|firmware/rt/call\.[ch]|host-driver/.*"
                  r"|security-chip/(boot|verify/kms)/.*"
                  r"|pcie-model/vfio-user/version\.c"),
    "libfyaml.h": r"firmware/card/config_file\.c",
    "seccomp.h": r"firmware/rt/sandbox_calls\.c",
    "linux/landlock.h": r"(firmware/rt/sandbox_files|ena/vpc/user_net)\.c",
    "isa-l/crc.h": r"host-driver/perf/verify\.c",
    "pci/pci.h": r"host-driver/scan\.c",
    "pcap/pcap.h": r"ena/vpc/port_replay\.c",
    "microhttpd.h": r"security-chip/verify/kms/server\.c",
    "openssl/": (r"security-chip/.*\.c|security-chip/(attest|verify)/.*\.h"
                 r"|ebs-nvme/volume/xts\.c"),
    "nitro-attest.h": r"security-chip/verify/examples/.*",
    "libtpms/": r"security-chip/tpm/engine\.c",
    "cbor.h": r"security-chip/(attest|boot|nsm|verify)/.*\.c",
    "slirp/libslirp.h": r"ena/vpc/user_net\.c",
}


def room_of(path):
    return next((room for room in ARROWS if path.startswith(room + "/")), None)


def complaints(root):
    for path in sorted(root.rglob("*.[chd]*")):
        name = path.relative_to(root).as_posix()
        room = room_of(name)
        if room is None or path.suffix not in (".c", ".h", ".def"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+([<"])([^">]+)', line)
            if not match:
                continue
            quote, target = match.groups()
            home = HOMES.get(target) or HOMES.get(target.split("/")[0] + "/")
            if home and not re.fullmatch(home, name):
                yield f"{name}:{number}: {target} belongs in {home}"
            if quote == "<":
                continue
            other = room_of(target)
            if other is None:
                yield f'{name}:{number}: "{target}" is not written from the root'
            elif other != room and other not in ARROWS[room] and not (
                    target.endswith("/abi.h") and other in ABI.get(room, ())):
                yield f"{name}:{number}: {room} may not include {other}"


found = list(complaints(pathlib.Path(sys.argv[1])))
print("\n".join(found) or "arrows: every include is a legal arrow")
sys.exit(bool(found))
