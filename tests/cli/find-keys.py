#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""find-keys.py STATE-DIR FILE…: is a piece of a volume's key in any of the files?

The keys are opened here by other code than the card's: HKDF-SHA384 of the
installation's secret, AES-256-GCM.  Prints where a piece was found; exit code 1.
With --control the wrapped keys are looked for, which are no secret: what cannot
find those would not find the others either.
"""
import pathlib
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PIECE = 16                      # bytes: a block of AES, a round key


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
        else:
            found += pieces(f"the key that wraps {path.name}", wrapping)
            found += pieces(f"the key of {path.name}", key)
    return found


def main():
    arguments = sys.argv[1:]
    is_control = arguments[0] == "--control"
    state, *files = arguments[is_control:]
    wanted = secrets_of(pathlib.Path(state) / "security-chip", is_control)
    count = 0
    for file in files:
        data = pathlib.Path(file).read_bytes()
        for name, piece in wanted:
            if piece in data:
                print(f"{file}: {name}")
                count += 1
    return count > 0


if __name__ == "__main__":
    sys.exit(main())
