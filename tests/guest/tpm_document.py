#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tpm_document.py DEVICE NONCE: what nitro-tpm-attest asks of a guest's TPM, by a
password and without its encrypted sessions; prints the index in hexadecimal."""
import os
import struct
import sys

OWNER, INDEX, SIZE, CHUNK = 0x40000001, 0x01000000, 8192, 1024
# One authorisation by the empty password.
EMPTY = struct.pack(">IIHBH", 9, 0x40000009, 0, 1, 0)


def run(device, code, handles, parameters=b""):
    body = b"".join(struct.pack(">I", handle) for handle in handles) + EMPTY + parameters
    os.write(device, struct.pack(">HII", 0x8002, 10 + len(body), code) + body)
    answer = os.read(device, 4096)
    if answer[6:10] != bytes(4):
        sys.exit(f"command {code:#x}: {answer[6:10].hex()}")
    return answer[14:]


def main():
    device, nonce = os.open(sys.argv[1], os.O_RDWR), bytes.fromhex(sys.argv[2])
    request = (b"\xa1\x6bAttestation\xa3\x69user_data\xf6\x65nonce\x58" +
               bytes([len(nonce)]) + nonce + b"\x6apublic_key\xf6")
    # authread, authwrite.
    run(device, 0x12a, [OWNER],
        bytes(2) + struct.pack(">HIHIHH", 14, INDEX, 0xd, 0x40004, 0, SIZE))
    both = [INDEX, INDEX]
    run(device, 0x137, both, struct.pack(">H", len(request)) + request + bytes(2))
    run(device, 0x20000001, both)
    print(b"".join(run(device, 0x14e, both, struct.pack(">HH", CHUNK, at))[2:2 + CHUNK]
                   for at in range(0, SIZE, CHUNK)).hex())
    run(device, 0x122, [OWNER, INDEX])


main()
