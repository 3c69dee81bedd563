#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Is this document of a card that was verified, and what was it measured to be?
With python3-cryptography, and nothing of the card's.

    verify_boot.py DOCUMENT --root PEM --device PEM --status JSON

--device is the certificate of the device, as `nitroctl firmware status --json`
gave it when the flash was made: it is believed.  --status is what `nitroctl
boot-status --json` says of the running card: nothing of it is believed that the
device's key has not signed, or that the log does not explain.
"""
import argparse
import hashlib
import json
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier

import verify_document
from verify_document import require

MULTI_TCB_INFO = ObjectIdentifier("2.23.133.5.4.5")
EMBEDDED_CA = ObjectIdentifier("2.23.133.5.4.100.12")
SHA384_OID = bytes.fromhex("608648016503040202")
LAYERS = ["rom", "firmware", "config"]
ZERO = bytes(48)


def elements(data):
    """Tag and content of each element of DER (X.690), in its one encoding."""
    found = []
    while data:
        require(len(data) >= 2, "der", "an element is cut off")
        tag, size, at = data[0], data[1], 2
        if size & 0x80:
            count = size & 0x7f
            require(1 <= count <= 2 and len(data) >= 2 + count, "der", "a length")
            size, at = int.from_bytes(data[2:2 + count], "big"), 2 + count
            require(size >= (0x80, 0x100)[count - 1], "der", "a longer length")
        require(len(data) >= at + size, "der", "an element is cut off")
        found.append((tag, data[at:at + size]))
        data = data[at + size:]
    return found


def only(data, tag):
    found = elements(data)
    require(len(found) == 1 and found[0][0] == tag, "der", "another element")
    return found[0][1]


def read_layer(data):
    """DiceTcbInfo, of TCG's DICE Attestation Architecture."""
    members = dict(elements(data))
    require(list(members) == sorted(members), "der", "members in another order")
    algorithm, digest = elements(only(members[0xa6], 0x30))
    require(algorithm == (0x06, SHA384_OID) and digest[0] == 0x04, "fwid",
            "no digest of SHA-384")
    return {"vendor": members[0x80].decode(), "model": members[0x81].decode(),
            "version": members.get(0x82, b"").decode(),
            "svn": int.from_bytes(members.get(0x83, b""), "big", signed=True),
            "layer": int.from_bytes(members[0x84], "big"), "digest": digest[1]}


def read_layers(alias):
    extension = alias.extensions.get_extension_for_oid(MULTI_TCB_INFO)
    layers = [read_layer(data) for tag, data in
              elements(only(extension.value.value, 0x30)) if tag == 0x30]
    require([one["model"] for one in layers] == LAYERS
            and [one["layer"] for one in layers] == [0, 1, 2], "layers",
            "other layers than these three")
    return layers


def point(certificate):
    return certificate.public_key().public_bytes(
        serialization.Encoding.X962,
        serialization.PublicFormat.UncompressedPoint)


def is_signed(certificate, issuer):
    try:
        issuer.public_key().verify(
            certificate.signature, certificate.tbs_certificate_bytes,
            ec.ECDSA(hashes.SHA384()))
        return True
    except InvalidSignature:
        return False


def check_authority(certificate, length):
    extensions = certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    require(constraints.critical and constraints.value.ca
            and constraints.value.path_length == length and usage.critical
            and usage.value.key_cert_sign and EMBEDDED_CA in purposes.value,
            "authority", "it may not sign certificates")


def check_alias(alias, device):
    require(is_signed(device, device), "device", "it has not signed itself")
    require(alias.issuer == device.subject and is_signed(alias, device),
            "alias", "it is not of this device")
    check_authority(device, 1)
    check_authority(alias, 0)


def replay(events):
    registers = {}
    for event in events:
        name = event["register"]
        registers[name] = hashlib.sha384(
            registers.get(name, ZERO) + bytes.fromhex(event["digest"])).digest()
    return registers


def check_log(layers, status):
    registers = replay(status["events"])
    for layer in layers:
        require(layer["digest"] == registers.get(layer["model"]), "log",
                f"the log does not explain {layer['model']}")
    firmware = layers[1]
    require((firmware["version"], firmware["svn"]) ==
            (status["version"], status["svn"]), "version",
            "it is of another version")
    return registers


def check_pcrs(pcrs, registers):
    starter = hashlib.sha384(registers["rom"] + registers.get("policy", ZERO))
    for n, value in enumerate((registers["firmware"], registers["config"],
                               starter.digest())):
        require(pcrs[n] == value, "pcr", f"PCR {n} is not what was measured")


def verify(document, root, device, status):
    """The document's fields, and what each layer was."""
    fields = verify_document.verify(document, root)
    alias = x509.load_pem_x509_certificate(
        status["certificates"]["alias"].encode())
    check_alias(alias, device)
    layers = read_layers(alias)
    registers = check_log(layers, status)
    chain = verify_document.certificates_of(fields)
    require(point(chain[-2]) == point(alias), "other-key",
            "the document's instance has another key than the alias")
    require(is_signed(chain[-1], alias), "leaf", "the alias has not signed it")
    check_pcrs(fields["pcrs"], registers)
    return fields, layers


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("document")
    for name in ("--root", "--device", "--status"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    read = {}
    for name in ("document", "root", "device", "status"):
        with open(getattr(options, name), "rb") as file:
            read[name] = file.read()
    root, device = (x509.load_pem_x509_certificate(read[name])
                    for name in ("root", "device"))
    status = json.loads(read["status"])
    if "certificates" not in status:
        print("refused: not-verified: the card has no certificate")
        return 1
    try:
        fields, layers = verify(read["document"], root, device, status)
    except verify_document.Refused as why:
        print(f"refused: {why.reason}: {why}")
        return 1
    print(f"good: {fields['module_id']}")
    for layer in layers:
        print(f"{layer['layer']} {layer['model']} {layer['digest'].hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
