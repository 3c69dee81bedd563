#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A relying party of its own: checks attestation documents with python3-cbor2
and python3-cryptography, and shares nothing with the card or libnitro-attest.

    verify_document.py DOCUMENT --root PEM [--nonce HEX] [--pcr N=HEX] [--at TIME]
"""
import argparse
import datetime
import hashlib
import io
import sys

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

MANDATORY = {"module_id", "digest", "timestamp", "certificate", "cabundle"}
OPTIONAL = {"public_key": 1, "user_data": 0, "nonce": 0}    # at least so long
SIZES = {"public_key": "public-key", "user_data": "user-data-size",
         "nonce": "nonce-size"}
REGISTERS = {"pcrs", "nitrotpm_pcrs"}                       # one of them
# What a critical extension may be: what is looked at below.
UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)
ECDSA_WITH_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
ORDER_P384 = int("ffffffffffffffffffffffffffffffffffffffffffffffff"
                 "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)


class Refused(Exception):
    """Why a document is not to be believed: a short name, and a sentence."""

    def __init__(self, reason, text):
        super().__init__(text)
        self.reason = reason


def require(holds, reason, text):
    if not holds:
        raise Refused(reason, text)


def decode(data, what):
    """One item of CBOR, in its deterministic form, and nothing behind it."""
    stream = io.BytesIO(data)
    try:
        value = cbor2.load(stream)
        again = cbor2.dumps(value)
    except (cbor2.CBORDecodeEOF, EOFError) as why:
        raise Refused("truncated", f"{what} ends early") from why
    # A claimed length may be all memory, and nesting all of the stack.
    except Exception as why:  # pylint: disable=broad-except
        raise Refused("cbor", f"{what} is not CBOR: {why}") from why
    require(stream.tell() == len(data), "trailing",
            f"there is something behind {what}")
    # Longer heads, no lengths, keys that are there twice: all are lost on the way.
    require(again == data, "cbor", f"{what} could be written otherwise")
    return value


def open_envelope(document):
    envelope = decode(document, "the document")
    if isinstance(envelope, cbor2.CBORTag) and envelope.tag == 18:
        envelope = envelope.value
    require(isinstance(envelope, list) and len(envelope) == 4, "envelope",
            "no array of four")
    protected, unprotected, payload, signature = envelope
    require(all(isinstance(part, bytes) for part in (protected, payload, signature))
            and unprotected == {}, "envelope", "members of wrong types")
    # Its bytes: to Python 1 is True and 1.0, and they are as well signed.
    require(protected == cbor2.dumps({1: -35}), "algorithm", "not ES384")
    require(len(signature) == 96, "signature-size", "a signature of other size")
    return protected, payload, signature


def is_bytes(value, low, high):
    return isinstance(value, bytes) and low <= len(value) <= high


def is_integer(value, low, high):
    """A boolean is an integer to Python, but not to us."""
    return type(value) is int and low <= value <= high


def is_registers(value):
    return isinstance(value, dict) and 1 <= len(value) <= 32 and all(
        is_integer(n, 0, 31) and isinstance(one, bytes) and len(one) in (32, 48, 64)
        for n, one in value.items())


def check_names(fields):
    require(isinstance(fields, dict), "fields", "the payload is no map")
    names = set(fields)
    require(names - set(OPTIONAL) - REGISTERS == MANDATORY
            and len(names & REGISTERS) == 1, "fields", "other fields than the nine")


def read_payload(payload):
    require(1 <= len(payload) <= 16384, "payload-size", "a payload of other size")
    fields = decode(payload, "the payload")
    check_names(fields)
    module = fields["module_id"]
    require(isinstance(module, str) and 1 <= len(module) <= 1024
            and module.isascii() and module.isprintable(), "module-id",
            "no module id")
    require(fields["digest"] == "SHA384", "digest",
            f"digest is {fields['digest']!r}")
    require(is_integer(fields["timestamp"], 1, 2 ** 64 - 1), "timestamp", "no time")
    require(all(is_registers(fields[name]) for name in REGISTERS & set(fields)),
            "pcr-map", "registers of other numbers or sizes")
    require(is_bytes(fields["certificate"], 1, 1024), "certificate",
            "no certificate")
    require(isinstance(fields["cabundle"], list) and 1 <= len(fields["cabundle"]) <= 16
            and all(is_bytes(one, 1, 1024) for one in fields["cabundle"]), "cabundle",
            "no bundle")
    for name, least in OPTIONAL.items():
        value = fields.setdefault(name, None)
        require(value is None or is_bytes(value, least, 1024), SIZES[name],
                f"{name} is too long or of another type")
    return fields


def certificates_of(fields):
    """From the root to the leaf."""
    try:
        return [x509.load_der_x509_certificate(der)
                for der in fields["cabundle"] + [fields["certificate"]]]
    # The library has no common name for all that may be wrong with one.
    except Exception as why:  # pylint: disable=broad-except
        raise Refused("der", f"no certificate: {why}") from why


def extension(certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def check_order(chain):
    subjects = [certificate.subject for certificate in chain]
    require(len(set(chain)) == len(chain), "order", "a certificate is there twice")
    for below, above in zip(chain[1:], chain):
        if below.issuer == above.subject:
            continue
        require(below.issuer not in subjects, "order",
                "the bundle is not from root to issuer")
        raise Refused("issuer-missing", "the issuer of a certificate is missing")


def inner_algorithm(certificate):
    """Of what is signed: RFC 5280 4.1.2.3.  The library only shows the other."""
    rest = certificate.tbs_certificate_bytes
    rest = rest[(rest[1] & 0x7f if rest[1] & 0x80 else 0) + 2:]
    if rest[0] == 0xa0:                                     # the version
        rest = rest[2 + rest[1]:]
    rest = rest[2 + rest[1]:]                               # the serial number
    return rest[:2 + rest[1]]


def check_signatures(chain):
    for below, above in zip(chain[1:], chain):
        require(inner_algorithm(below) == ECDSA_WITH_SHA384, "chain-signature",
                "another algorithm within than without")
        try:
            above.public_key().verify(below.signature,
                                      below.tbs_certificate_bytes,
                                      ec.ECDSA(hashes.SHA384()))
        except InvalidSignature as why:
            raise Refused("chain-signature",
                          "its issuer has not signed a certificate") from why


def check_authority(certificate, below):
    """One that has so many authorities under it."""
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)
    require(constraints and constraints.value.ca, "authority",
            "no certificate authority")
    require(usage and usage.value.key_cert_sign, "authority",
            "it may not sign certificates")
    limit = constraints.value.path_length
    require(limit is None or below <= limit, "path-length",
            f"{below} authorities where {limit} are allowed")


def check_leaf(certificate):
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    require(not constraints or not constraints.value.ca, "leaf",
            "the leaf is an authority")
    require(usage and usage.value.digital_signature, "leaf",
            "the leaf may not sign documents")
    require(not purposes or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in purposes.value,
            "leaf", "the leaf is for other purposes")


def check_extensions(below, above):
    for one in below.extensions:
        require(not one.critical or isinstance(one.value, UNDERSTOOD), "chain",
                f"{one.oid.dotted_string} is critical")
    named = extension(below, x509.AuthorityKeyIdentifier)
    own = extension(above, x509.SubjectKeyIdentifier)
    require(not named or not own or named.value.key_identifier in (
        None, own.value.digest), "chain", "the issuer has another key identifier")


def check_path(chain):
    for depth, certificate in enumerate(chain[:-1]):
        check_authority(certificate, len(chain) - 2 - depth)
    for below, above in zip(chain, chain[:1] + chain):
        check_extensions(below, above)
    check_leaf(chain[-1])


def check_validity(chain, at):
    for certificate in chain:
        require(at <= certificate.not_valid_after, "expired",
                f"ended {certificate.not_valid_after}")
        require(at >= certificate.not_valid_before, "not-yet-valid",
                f"begins {certificate.not_valid_before}")


def key_of(certificate):
    try:
        return certificate.public_key()
    # No point of the curve, or a curve that has no name.
    except Exception as why:  # pylint: disable=broad-except
        raise Refused("key", f"no key: {why}") from why


def check_keys(chain):
    for certificate in chain:
        key = key_of(certificate)
        require(isinstance(key, ec.EllipticCurvePublicKey)
                and isinstance(key.curve, ec.SECP384R1), "key", "not P-384")
        require(certificate.signature_algorithm_oid ==
                SignatureAlgorithmOID.ECDSA_WITH_SHA384, "certificate-algorithm",
                "not ecdsa-with-SHA384")


def signed_by(key, signature, message):
    numbers = (int.from_bytes(signature[:48], "big"),
               int.from_bytes(signature[48:], "big"))
    try:
        key.verify(utils.encode_dss_signature(*numbers), message,
                   ec.ECDSA(hashes.SHA384()))
        return True
    except InvalidSignature:
        return False


def check_signature(chain, protected, payload, signature):
    for half in (signature[:48], signature[48:]):
        require(0 < int.from_bytes(half, "big") < ORDER_P384, "signature-range",
                "a number of the signature is out of range")
    message = cbor2.dumps(["Signature1", protected, b"", payload])
    if signed_by(chain[-1].public_key(), signature, message):
        return
    for other in chain[:-1]:
        require(not signed_by(other.public_key(), signature, message),
                "signature-key", "another certificate's key has signed")
    raise Refused("signature", "the signature is not of this document")


def check_chain(chain, root, at):
    check_keys(chain)
    require(chain[0] == root, "root", "the root is another one")
    check_order(chain)
    check_signatures(chain)
    check_path(chain)
    check_validity(chain, at)


def verify(document, root, at=None, nonce=None, pcrs=None):
    """The fields of a good document; Refused for any other."""
    protected, payload, signature = open_envelope(document)
    fields = read_payload(payload)
    chain = certificates_of(fields)
    try:
        check_chain(chain, root, at or datetime.datetime.utcnow())
    except Refused:
        raise
    except Exception as why:  # pylint: disable=broad-except
        raise Refused("der", f"part of a certificate cannot be read: {why}") from why
    check_signature(chain, protected, payload, signature)
    if nonce is not None:
        require(fields["nonce"] == nonce, "nonce", "the nonce is another one")
    for n, value in (pcrs or {}).items():
        # Those of a NitroTPM are others: a guest can write some of them.
        require(n in fields.get("pcrs", {}), "pcr-absent", f"no PCR {n} of an enclave")
        require(fields["pcrs"][n] == value, "pcr", f"PCR {n} is another one")
    return fields


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("document")
    parser.add_argument("--root", required=True)
    parser.add_argument("--nonce", type=bytes.fromhex)
    parser.add_argument("--pcr", action="append", default=[])
    parser.add_argument("--at", type=datetime.datetime.fromisoformat)
    options = parser.parse_args()
    pcrs = {int(n): bytes.fromhex(value)
            for n, value in (text.split("=") for text in options.pcr)}
    with open(options.root, "rb") as file:
        root = x509.load_pem_x509_certificate(file.read())
    with open(options.document, "rb") as file:
        document = file.read()
    try:
        fields = verify(document, root, options.at, options.nonce, pcrs)
    except Refused as why:
        print(f"refused: {why.reason}: {why}")
        return 1
    print(f"good: {fields['module_id']}, SHA-384 of the document "
          f"{hashlib.sha384(document).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
