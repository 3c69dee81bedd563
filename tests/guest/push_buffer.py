#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""push_buffer.py DEVICE [BYTES]: in a guest, show a network device's buffer for
pushed headers and the largest there may be, or set it.  Debian 12's ethtool is
older than that word of ethtool's netlink family."""
import os
import socket
import struct
import sys

CONTROL_ID, GET_FAMILY, FAMILY_ID, FAMILY_NAME = 16, 3, 1, 2
RINGS_GET, RINGS_SET = 15, 16
HEADER, DEVICE_NAME, PUSH_BYTES, PUSH_BYTES_MAX = 1, 2, 15, 16
REQUEST_ACK, NESTED, ERROR = 5, 0x8000, 2


def attribute(kind, data):
    return struct.pack("HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def attributes(data):
    found = {}
    while len(data) >= 4:
        size, kind = struct.unpack_from("HH", data)
        found[kind & 0x3fff] = data[4:size]
        data = data[(size + 3) & ~3:]
    return found


def ask(family, command, data):
    """The answer's attributes; an error ends the program."""
    body = struct.pack("BBH", command, 1, 0) + data
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    link.send(struct.pack("IHHII", 16 + len(body), family, REQUEST_ACK, 1, 0) + body)
    found = {}
    while True:
        answer = link.recv(65536)
        while answer:
            size, kind = struct.unpack_from("IH", answer)
            if kind == ERROR:
                code = -struct.unpack_from("i", answer, 16)[0]
                if code:
                    sys.exit(os.strerror(code))
                return found
            found = attributes(answer[20:size])
            answer = answer[(size + 3) & ~3:]


def main():
    name = attribute(FAMILY_NAME, b"ethtool\0")
    family = struct.unpack("H", ask(CONTROL_ID, GET_FAMILY, name)[FAMILY_ID])[0]
    device = attribute(HEADER | NESTED,
                       attribute(DEVICE_NAME, sys.argv[1].encode() + b"\0"))
    if len(sys.argv) > 2:
        ask(family, RINGS_SET,
            device + attribute(PUSH_BYTES, struct.pack("I", int(sys.argv[2]))))
    found = ask(family, RINGS_GET, device)
    print(*(struct.unpack("I", found.get(kind, bytes(4)))[0]
            for kind in (PUSH_BYTES, PUSH_BYTES_MAX)))


main()
