#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""find-keys.py STATE-DIR FILE…: is a piece of a volume's key in any of the files?

The keys are opened here by other code than the card's: HKDF-SHA384 of the
installation's secret, AES-256-GCM.  A piece is a block of a key, or a round key
that AES makes of it (FIPS 197, 5.2).  Keys that are kept nowhere are found by what
follows from them: any schedule of AES-256, as the card has them.  Prints where a
piece was found; exit code 1.

With --control the wrapped keys are looked for, which are no secret: what cannot
find those would not find the others either.  With --any, schedules as all others
have them count as well, such as those of OpenSSL's generators of random numbers.
"""
import pathlib
import re
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PIECE = 16                      # bytes: a block of AES, a round key
WORDS = 60                      # of the schedule of AES-256


def times(a, b):
    """In AES's field, FIPS 197, 4.2."""
    product = 0
    while b:
        product ^= a * (b & 1)
        a = a << 1 ^ 0x11b * (a >> 7)
        b >>= 1
    return product


def substitute(byte):
    """The S-box, 5.1.1."""
    inverse = next((i for i in range(256) if times(byte, i) == 1), 0)
    out = 0x63
    for shift in range(5):
        out ^= (inverse << shift | inverse >> 8 - shift) & 0xff
    return out


SBOX = bytes(map(substitute, range(256)))


def schedule(key):
    """The round keys of AES-256, one after the other."""
    words = [key[at:at + 4] for at in range(0, 32, 4)]
    while len(words) < WORDS:
        word = words[-1]
        if len(words) % 8 == 0:
            word = (word[1:] + word[:1]).translate(SBOX)
            word = bytes([word[0] ^ 1 << len(words) // 8 - 1]) + word[1:]
        elif len(words) % 8 == 4:
            word = word.translate(SBOX)
        words.append(bytes(a ^ b for a, b in zip(word, words[-8])))
    return b"".join(words)


# Three of four words are the exclusive or of the one before and the one 8 before.
TRACE = re.compile(rb"\0{12}(?:(?!\0{4}).{4}\0{12}){12}", re.DOTALL)


def is_schedule(data, at, row):
    rounds = [data[at + i * row:at + i * row + PIECE] for i in range(WORDS // 4)]
    return b"".join(rounds) == schedule(rounds[0] + rounds[1])


CARD_ROW = 4 * PIECE            # each round key four times
ROW = PIECE


def schedules(data, rows):
    """Where there are any, with so many bytes from a round key to the next."""
    number = int.from_bytes(data, "little")
    for row in rows:
        before, new = 2 * row - 4, 2 * row
        traces = (number ^ number >> 8 * before ^ number >> 8 * new).to_bytes(
            len(data), "little")
        for found in TRACE.finditer(traces):
            for at in range(found.start() - 4, found.end(), PIECE):
                if is_schedule(data, at, row):
                    yield f"a schedule of AES-256 at byte {at}"


def pieces(name, data):
    return [(f"{name} byte {at}", data[at:at + PIECE])
            for at in range(0, len(data), PIECE)]


def secrets_of(chip, is_control):
    secret = (chip / "secret").read_bytes()
    found = [] if is_control else pieces("the installation's secret", secret)
    for path in sorted((chip / "keys").glob("*.key")):
        file = path.read_bytes()
        names, nonce, sealed = file[:160], file[160:172], file[172:]
        kms = names[32:].rstrip(b"\0")
        wrapping = HKDF(algorithm=SHA384(), length=32, salt=None,
                        info=b"volume-key " + kms).derive(secret)
        key = AESGCM(wrapping).decrypt(nonce, sealed, names)
        assert len(key) == 64 and key[:32] != key[32:]
        if is_control:
            found += pieces(f"{path.name}, wrapped,", sealed[:64])
            continue
        for name, part in (("the key that wraps", wrapping),
                           ("the data key of", key[:32]),
                           ("the tweak key of", key[32:])):
            found += pieces(f"{name} {path.name}, expanded,", schedule(part))
    return found


def main():
    words = [word for word in sys.argv[1:] if word.startswith("--")]
    state, *files = [word for word in sys.argv[1:] if not word.startswith("--")]
    is_control = "--control" in words
    rows = [] if is_control else [CARD_ROW, ROW] if "--any" in words else [CARD_ROW]
    wanted = secrets_of(pathlib.Path(state) / "security-chip", is_control)
    count = 0
    for file in files:
        data = pathlib.Path(file).read_bytes()
        found = [name for name, piece in wanted if piece in data]
        found += schedules(data, rows)
        for name in found:
            print(f"{file}: {name}")
        count += len(found)
    return count > 0


if __name__ == "__main__":
    sys.exit(main())
