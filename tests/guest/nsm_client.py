#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A client of /dev/nsm by linux/nsm.h, for guests: no library is needed.

    nsm_client.py check         every command and every error; says "all well"
    nsm_client.py document HEX  a document with that nonce, in hexadecimal
    nsm_client.py pcr N         "LOCK VALUE"
    nsm_client.py extend N TEXT
"""
import ctypes
import errno
import fcntl
import hashlib
import sys

NSM_IOCTL_RAW = 0xC0200A00
RESPONSE_BYTES = 0x3000


def encode(value):
    """CBOR of what requests are made of, in its shortest form."""
    if value is None:
        return b"\xf6"
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(
            encode(key) + encode(item) for key, item in value.items())
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    return head(0, value)


def head(major, n):
    for limit, code, size in ((24, n, 0), (1 << 8, 24, 1), (1 << 16, 25, 2)):
        if n < limit:
            return bytes([major << 5 | code]) + (n.to_bytes(size, "big") if size else b"")
    raise ValueError(n)


def decode(data):
    value, rest = item(data)
    if rest:
        raise ValueError(f"{len(rest)} bytes after the answer")
    return value


def item(data):
    major, code, data = data[0] >> 5, data[0] & 31, data[1:]
    if code >= 24 and major != 7:
        size = 1 << code - 24
        n, data = int.from_bytes(data[:size], "big"), data[size:]
        if n < 24 or (size > 1 and n < 1 << 4 * size):
            raise ValueError(f"{n} is not in its shortest form")
    else:
        n = code
    if major == 0:
        return n, data
    if major in (2, 3):
        text = data[:n]
        return (text if major == 2 else text.decode()), data[n:]
    if major == 4:
        items = []
        for _ in range(n):
            value, data = item(data)
            items.append(value)
        return items, data
    if major == 5:
        pairs = {}
        for _ in range(n):
            key, data = item(data)
            pairs[key], data = item(data)
        return pairs, data
    return {20: False, 21: True, 22: None}[n], data


class Raw(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in
                ("request", "request_bytes", "response", "response_bytes")]


class Nsm:
    def __init__(self):
        self.file = open("/dev/nsm", "r+b", buffering=0)

    def raw(self, request, room=RESPONSE_BYTES):
        out = ctypes.create_string_buffer(room)
        raw = Raw(ctypes.addressof(ctypes.create_string_buffer(request)), len(request),
                  ctypes.addressof(out), room)
        keep = ctypes.create_string_buffer(request, len(request))
        raw.request = ctypes.addressof(keep)
        fcntl.ioctl(self.file, NSM_IOCTL_RAW, raw)
        return out.raw[:raw.response_bytes]

    def call(self, name, **arguments):
        answer = decode(self.raw(encode({name: arguments} if arguments else name)))
        if answer == name:
            return True
        return answer.get(name) or answer

    def fails(self, error, name, **arguments):
        answer = self.call(name, **arguments)
        assert answer == {"Error": error}, f"{name} {arguments}: {answer}"


def check(nsm):
    described = nsm.call("DescribeNSM")
    assert described["max_pcrs"] == 32 and described["digest"] == "SHA384", described
    assert described["module_id"], described
    assert set(range(16)) <= set(described["locked_pcrs"]), described
    for index in range(32):
        pcr = nsm.call("DescribePCR", index=index)
        assert len(pcr["data"]) == 48, pcr
        assert pcr["lock"] == (index in described["locked_pcrs"]), (index, pcr)
        if index == 4:
            assert any(pcr["data"]), "PCR 4 is zero"
        if index == 3 or 5 <= index < 16:
            assert not any(pcr["data"]), f"PCR {index} is {pcr['data'].hex()}"
    nsm.fails("InvalidIndex", "DescribePCR", index=32)
    for index in range(16):
        nsm.fails("ReadOnlyIndex", "ExtendPCR", index=index, data=b"x")
        nsm.fails("ReadOnlyIndex", "LockPCR", index=index)
    for error, name, arguments in (
            ("InvalidIndex", "ExtendPCR", {"index": 32, "data": b"x"}),
            ("InvalidIndex", "LockPCR", {"index": 32}),
            ("InvalidIndex", "LockPCRs", {"range": 33}),
            ("InvalidArgument", "ExtendPCR", {"index": 20}),
            ("InvalidOperation", "Nonsense", {}),
            ("InputTooLarge", "Attestation", {"user_data": bytes(1025)})):
        nsm.fails(error, name, **arguments)
    for index in (30, 31):
        before = nsm.call("DescribePCR", index=index)["data"]
        expected = hashlib.sha384(before + b"check").digest()
        assert nsm.call("ExtendPCR", index=index, data=b"check") == {"data": expected}
        assert nsm.call("DescribePCR", index=index) == {"lock": False, "data": expected}
    assert nsm.call("LockPCR", index=31) is True
    nsm.fails("ReadOnlyIndex", "LockPCR", index=31)
    nsm.fails("ReadOnlyIndex", "ExtendPCR", index=31, data=b"x")
    assert nsm.call("LockPCRs", range=18) is True
    assert nsm.call("DescribePCR", index=17)["lock"]
    assert not nsm.call("DescribePCR", index=18)["lock"]
    numbers = {nsm.call("GetRandom")["random"] for _ in range(16)}
    assert len(numbers) == 16 and all(len(one) == 256 for one in numbers)
    document = nsm.call("Attestation", user_data=b"u", nonce=None, public_key=b"k")
    assert document["document"][:1] == b"\x84", document
    try:
        nsm.raw(bytes(4097))
        raise AssertionError("a request of 4097 bytes is taken")
    except OSError as error:
        assert error.errno == errno.EMSGSIZE, error
    assert len(nsm.raw(encode("GetRandom"), 10)) == 10
    print("all well")


def main():
    nsm, words = Nsm(), sys.argv[1:]
    if words[0] == "check":
        check(nsm)
    elif words[0] == "document":
        print(nsm.call("Attestation", nonce=bytes.fromhex(words[1]))["document"].hex())
    elif words[0] == "pcr":
        pcr = nsm.call("DescribePCR", index=int(words[1]))
        print(int(pcr["lock"]), pcr["data"].hex())
    elif words[0] == "extend":
        print(nsm.call("ExtendPCR", index=int(words[1]), data=words[2].encode()))


main()
