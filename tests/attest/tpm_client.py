# SPDX-License-Identifier: BSD-3-Clause
"""A TPM's client from the specification alone (TPM 2.0 Library, parts 1 to 3):
sessions that are salted, authenticated and encrypted, and what nitro-tpm-attest
does with them, command by command, on the channel that QEMU uses."""
import hashlib
import hmac
import os
import socket
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

OWNER, ENDORSEMENT, NULL, PASSWORD = 0x40000001, 0x4000000b, 0x40000007, 0x40000009
CONTINUE, DECRYPT, ENCRYPT = 1, 0x20, 0x40
# Commands whose first parameter can be encrypted, or that of whose response.
ENCRYPTED = {0x12a: DECRYPT, 0x137: DECRYPT, 0x14e: ENCRYPT}
NSM_REQUEST = 0x20000001
# Attributes of an index (part 2, 13.4).
OWNER_WRITE, AUTH_WRITE, POLICY_WRITE = 1 << 1, 1 << 2, 1 << 3
OWNER_READ, AUTH_READ, POLICY_READ = 1 << 17, 1 << 18, 1 << 19
NO_DA, READ_STCLEAR = 1 << 25, 1 << 31
POLICY_A = bytes.fromhex("837197674484b3f81a90cc8d46a5d724"
                         "fd52d76e06520b64f2a1da1b331469aa")


class TpmError(Exception):
    def __init__(self, code):
        super().__init__(f"{code:#x}")
        self.code = code


def sized(data):
    return struct.pack(">H", len(data)) + data


def take(data):
    """A TPM2B from the beginning, and what follows."""
    size = struct.unpack_from(">H", data)[0]
    assert len(data) >= 2 + size
    return data[2:2 + size], data[2 + size:]


def sha512(*parts):
    return hashlib.sha512(b"".join(parts)).digest()


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha512).digest()


def kdf(key, label, first, second, bits):
    """KDFa of SHA-512, of 512 bits at most (part 1, 11.4.10.2)."""
    return mac(key, struct.pack(">I", 1), label, b"\0", first, second,
               struct.pack(">I", bits))[:bits // 8]


class Password:
    """An authorisation by the bare password (part 1, 19.4)."""

    def __init__(self, auth=b""):
        self.auth = auth

    def encrypt(self, _code, parameters):
        return parameters

    def area(self, _cp_hash):
        return struct.pack(">IHB", PASSWORD, 0, CONTINUE) + sized(self.auth)

    def check(self, _code, _data, parameters):
        return parameters


class Session:
    """HMAC, SHA-512, salted by an RSA key (part 1, 19.6)."""

    def __init__(self, tpm, key, modulus, is_encrypted):
        salt, self.caller = os.urandom(32), os.urandom(64)
        public = rsa.RSAPublicNumbers(65537, int.from_bytes(modulus, "big")).public_key()
        secret = public.encrypt(salt, padding.OAEP(
            padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"SECRET\0"))
        cipher = struct.pack(">HHH", 6, 128, 0x43) if is_encrypted else b"\0\x10"
        answer = tpm.run(0x176, struct.pack(">II", key, NULL) + sized(self.caller) +
                         sized(secret) + b"\0" + cipher + b"\0\x0d")
        self.handle = struct.unpack_from(">I", answer)[0]
        self.nonce = take(answer[4:])[0]
        self.key = kdf(salt, b"ATH", self.nonce, self.caller, 512)
        self.is_encrypted, self.attributes = is_encrypted, CONTINUE
        self.auth = b""
        self.forge = False  # send a wrong HMAC

    def cipher(self, newer, older):
        material = kdf(self.key + self.auth, b"CFB", newer, older, 256)
        return Cipher(algorithms.AES(material[:16]), modes.CFB(material[16:]))

    def using(self, auth):
        self.auth = auth
        return self

    def encrypt(self, code, parameters):
        self.caller = os.urandom(64)
        self.attributes = CONTINUE | (ENCRYPTED.get(code, 0) if self.is_encrypted else 0)
        if not self.attributes & DECRYPT:
            return parameters
        first, rest = take(parameters)
        return sized(self.cipher(self.caller, self.nonce).encryptor().update(first)) + rest

    def area(self, cp_hash):
        code = mac(self.key + self.auth, cp_hash, self.caller, self.nonce,
                   bytes([self.attributes]))
        if self.forge:
            code = bytes([code[0] ^ 1]) + code[1:]
        return (struct.pack(">I", self.handle) + sized(self.caller) +
                bytes([self.attributes]) + sized(code))

    def check(self, code, data, parameters):
        """The response's own authorisation; its first parameter is opened."""
        self.nonce, rest = take(data)
        attributes, theirs = rest[:1], take(rest[1:])[0]
        rp_hash = sha512(bytes(4), struct.pack(">I", code), parameters)
        assert theirs == mac(self.key + self.auth, rp_hash, self.nonce, self.caller,
                             attributes)
        if attributes[0] & ENCRYPT and parameters:
            first, rest = take(parameters)
            opened = self.cipher(self.nonce, self.caller).decryptor().update(first)
            return sized(opened) + rest
        return parameters


class PasswordPolicy:
    """A policy session that asks for the password (part 3, 23.18)."""

    DIGEST = sha512(bytes(64), struct.pack(">I", 0x16b))

    def __init__(self, tpm, auth):
        answer = tpm.run(0x176, struct.pack(">II", NULL, NULL) + sized(bytes(16)) +
                         bytes(2) + b"\1\0\x10\0\x0d")
        self.handle, self.auth = struct.unpack_from(">I", answer)[0], auth
        tpm.run(0x18c, struct.pack(">I", self.handle))

    def encrypt(self, _code, parameters):
        return parameters

    def area(self, _cp_hash):
        return struct.pack(">IHB", self.handle, 0, CONTINUE) + sized(self.auth)

    def check(self, _code, _data, parameters):
        return parameters


class Tpm:
    """As a VMM has it: a control socket, and a data socket handed over."""

    def __init__(self, path):
        self.control = socket.socket(socket.AF_UNIX)
        self.control.connect(str(path))
        self.data, theirs = socket.socketpair()
        for one in (self.control, self.data):
            one.settimeout(60)
        socket.send_fds(self.control, [struct.pack(">I", 0x10)], [theirs.fileno()])
        theirs.close()
        assert self.control.recv(4) == bytes(4)
        self.control.sendall(struct.pack(">II", 2, 0))     # CMD_INIT
        assert self.control.recv(4) == bytes(4)
        self.run(0x144, b"\0\0")                           # TPM2_Startup(CLEAR)

    def close(self):
        """As a system goes down: else passwords that were used count as tried."""
        self.run(0x145, b"\0\0")                           # TPM2_Shutdown(CLEAR)
        self.control.close()
        self.data.close()

    def _receive(self, size):
        data = b""
        while len(data) < size:
            more = self.data.recv(size - len(data))
            assert more, "the TPM has hung up"
            data += more
        return data

    def _exchange(self, tag, code, body):
        while True:
            self.data.sendall(struct.pack(">HII", tag, 10 + len(body), code) + body)
            _, size, result = struct.unpack(">HII", self._receive(10))
            answer = self._receive(size - 10)
            if result != 0x922:                            # TPM_RC_RETRY
                break
        if result:
            raise TpmError(result)
        return answer

    def run(self, code, body):
        """Without authorisation."""
        return self._exchange(0x8001, code, body)

    def authorised(self, code, handles, names, parameters, session, has_handle=False):
        """One session authorises the first handle; the names are for its hash."""
        parameters = session.encrypt(code, parameters)
        area = session.area(sha512(struct.pack(">I", code), *names, parameters))
        answer = self._exchange(0x8002, code, b"".join(
            struct.pack(">I", handle) for handle in handles) +
            struct.pack(">I", len(area)) + area + parameters)
        handle, answer = (answer[:4], answer[4:]) if has_handle else (b"", answer)
        size = struct.unpack_from(">I", answer)[0]
        return handle + session.check(code, answer[4 + size:], answer[4:4 + size])

    # ---- part 3 ----

    def capability(self, kind, first, count):
        """The list's bytes, its count first."""
        answer = self.run(0x17a, struct.pack(">III", kind, first, count))
        return answer[5:]

    def create_endorsement_key(self):
        template = (struct.pack(">HHI", 1, 0xb, 0x000300b2) + sized(POLICY_A) +
                    struct.pack(">HHHHHI", 6, 128, 0x43, 0x10, 2048, 0) +
                    sized(bytes(256)))
        answer = self.authorised(
            0x131, [ENDORSEMENT], [], sized(bytes(4)) + sized(template) +
            bytes(2) + bytes(4), Password(), has_handle=True)
        public = take(answer[4:])[0]
        return struct.unpack_from(">I", answer)[0], public[-256:]

    def evict(self, handle, persistent):
        self.authorised(0x120, [OWNER, handle], [], struct.pack(">I", persistent),
                        Password())

    def flush(self, handle):
        self.run(0x165, struct.pack(">I", handle))

    def define(self, index, size, auth, attributes, session, policy=b""):
        public = (struct.pack(">IHI", index, 0xd, attributes) + sized(policy) +
                  struct.pack(">H", size))
        owner = struct.pack(">I", OWNER)
        self.authorised(0x12a, [OWNER], [owner], sized(auth) + sized(public), session)

    def read_public(self, index):
        """The size of its data, and its name."""
        public, rest = take(self.run(0x169, struct.pack(">I", index)))
        name = take(rest)[0]
        assert name == b"\0\x0d" + sha512(public), "nameAlg || H(TPMS_NV_PUBLIC)"
        return struct.unpack(">H", public[-2:])[0], name

    def write(self, index, data, session):
        for at in range(0, len(data), 1024):
            name = self.read_public(index)[1]
            self.authorised(0x137, [index, index], [name, name],
                            sized(data[at:at + 1024]) + struct.pack(">H", at), session)

    def read(self, index, session):
        size, name = self.read_public(index)
        return b"".join(
            take(self.authorised(0x14e, [index, index], [name, name],
                                 struct.pack(">HH", min(1024, size - at), at),
                                 session))[0]
            for at in range(0, size, 1024))

    def undefine(self, index):
        self.authorised(0x122, [OWNER, index], [], b"", Password())

    def nsm_request(self, index, session):
        name = self.read_public(index)[1]
        assert self.authorised(NSM_REQUEST, [index, index], [name, name], b"",
                               session) == b""
