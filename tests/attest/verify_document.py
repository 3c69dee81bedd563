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
from cryptography.x509.oid import SignatureAlgorithmOID

FIELDS = ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle",
          "public_key", "user_data", "nonce"]
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
    """One item of CBOR and nothing behind it."""
    stream = io.BytesIO(data)
    try:
        value = cbor2.load(stream)
    except (cbor2.CBORDecodeEOF, EOFError) as why:
        raise Refused("truncated", f"{what} ends early") from why
    # A claimed length may be all memory, and nesting all of the stack.
    except Exception as why:  # pylint: disable=broad-except
        raise Refused("cbor", f"{what} is not CBOR: {why}") from why
    require(stream.tell() == len(data), "trailing",
            f"there is something behind {what}")
    return value


def open_envelope(document):
    envelope = decode(document, "the document")
    require(isinstance(envelope, list) and len(envelope) == 4, "envelope",
            "no array of four")
    protected, unprotected, payload, signature = envelope
    require(all(isinstance(part, bytes) for part in (protected, payload, signature))
            and unprotected == {}, "envelope", "members of wrong types")
    require(decode(protected, "the header") == {1: -35}, "algorithm", "not ES384")
    require(len(signature) == 96, "signature-size", "a signature of other size")
    return protected, payload, signature


def is_bytes(value, low, high):
    return isinstance(value, bytes) and low <= len(value) <= high


def read_payload(payload):
    require(1 <= len(payload) <= 16384, "payload", "a payload of other size")
    fields = decode(payload, "the payload")
    require(isinstance(fields, dict) and set(fields) == set(FIELDS), "fields",
            "other fields than the nine")
    require(isinstance(fields["module_id"], str) and fields["module_id"],
            "module-id", "no module id")
    require(fields["digest"] == "SHA384", "digest",
            f"digest is {fields['digest']!r}")
    require(isinstance(fields["timestamp"], int) and fields["timestamp"] > 0,
            "timestamp", "no time")
    pcrs = fields["pcrs"]
    require(isinstance(pcrs, dict) and 1 <= len(pcrs) <= 32 and all(
        isinstance(n, int) and 0 <= n < 32 and isinstance(value, bytes)
        and len(value) in (32, 48, 64) for n, value in pcrs.items()),
        "pcrs", "registers of other numbers or sizes")
    require(is_bytes(fields["certificate"], 1, 1024), "certificate",
            "no certificate")
    require(isinstance(fields["cabundle"], list) and fields["cabundle"] and all(
        is_bytes(one, 1, 1024) for one in fields["cabundle"]), "cabundle",
        "no bundle")
    for name in ("public_key", "user_data", "nonce"):
        require(fields[name] is None or is_bytes(fields[name], 0, 1024), name,
                f"{name} is too long or of another type")
    return fields


def certificates_of(fields):
    """From the root to the leaf."""
    try:
        return [x509.load_der_x509_certificate(der)
                for der in fields["cabundle"] + [fields["certificate"]]]
    # The library has no common name for all that may be wrong with one.
    except Exception as why:  # pylint: disable=broad-except
        raise Refused("certificate", f"no certificate: {why}") from why


def extension(certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def check_order(chain):
    subjects = [certificate.subject for certificate in chain]
    for below, above in zip(chain[1:], chain):
        if below.issuer == above.subject:
            continue
        require(below.issuer not in subjects, "order",
                "the bundle is not from root to issuer")
        raise Refused("missing", "the issuer of a certificate is missing")


def check_signatures(chain):
    for below, above in zip(chain[1:], chain):
        require(below.signature_algorithm_oid ==
                SignatureAlgorithmOID.ECDSA_WITH_SHA384, "certificate-algorithm",
                "not ecdsa-with-SHA384")
        try:
            above.public_key().verify(below.signature,
                                      below.tbs_certificate_bytes,
                                      ec.ECDSA(hashes.SHA384()))
        except InvalidSignature as why:
            raise Refused("chain-signature",
                          "its issuer has not signed a certificate") from why


def check_authorities(chain):
    for depth, certificate in enumerate(chain[:-1]):
        constraints = extension(certificate, x509.BasicConstraints)
        usage = extension(certificate, x509.KeyUsage)
        below = len(chain) - 2 - depth      # authorities under it
        require(constraints and constraints.value.ca, "authority",
                "no certificate authority")
        require(usage and usage.value.key_cert_sign, "authority",
                "it may not sign certificates")
        limit = constraints.value.path_length
        require(limit is None or below <= limit, "path-length",
                f"{below} authorities where {limit} are allowed")
    constraints = extension(chain[-1], x509.BasicConstraints)
    require(not constraints or not constraints.value.ca, "leaf",
            "the leaf is an authority")


def check_validity(chain, at):
    for certificate in chain:
        require(at <= certificate.not_valid_after, "expired",
                f"ended {certificate.not_valid_after}")
        require(at >= certificate.not_valid_before, "not-yet-valid",
                f"begins {certificate.not_valid_before}")


def check_keys(chain):
    for certificate in chain:
        key = certificate.public_key()
        require(isinstance(key, ec.EllipticCurvePublicKey)
                and isinstance(key.curve, ec.SECP384R1), "key", "not P-384")


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
                "other-key", "another certificate's key has signed")
    raise Refused("signature", "the signature is not of this document")


def check_chain(chain, root, at):
    check_keys(chain)
    check_order(chain)
    require(chain[0] == root, "root", "the root is another one")
    check_signatures(chain)
    check_authorities(chain)
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
        raise Refused("certificate", f"part of one cannot be read: {why}") from why
    check_signature(chain, protected, payload, signature)
    if nonce is not None:
        require(fields["nonce"] == nonce, "nonce", "the nonce is another one")
    for n, value in (pcrs or {}).items():
        require(fields["pcrs"].get(n) == value, "pcr", f"PCR {n} is another one")
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
