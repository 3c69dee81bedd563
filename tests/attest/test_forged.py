# SPDX-License-Identifier: BSD-3-Clause
"""Documents that the card would never make, signed by a forger who has a root
that is trusted: both verifiers refuse each, libnitro-attest by the rule."""
import datetime
import time

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.x509.oid import NameOID, ObjectIdentifier
from test_verifiers import opinion

DAY = datetime.timedelta(days=1)
AUTHORITY = ("digital_signature", "key_cert_sign", "crl_sign")
USAGES = ("digital_signature", "content_commitment", "key_encipherment",
          "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
          "encipher_only", "decipher_only")


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Issued:
    """A certificate and its key; what is wrong with it are its keywords."""

    def __init__(self, subject, issuer=None, ca=True, length=None, usage=AUTHORITY,
                 key=None, digest=None, critical=None, signer=None, issuer_name=None):
        self.key = key or ec.generate_private_key(ec.SECP384R1())
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder()
                   .subject_name(name(subject))
                   .issuer_name(name(issuer_name or (
                       issuer.subject if issuer else subject)))
                   .public_key(self.key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now - DAY).not_valid_after(now + DAY))
        if ca is not None:
            builder = builder.add_extension(
                x509.BasicConstraints(ca=ca, path_length=length), critical=True)
        if usage is not None:
            builder = builder.add_extension(x509.KeyUsage(
                **{word: word in usage for word in USAGES}), critical=True)
        if critical:
            builder = builder.add_extension(x509.UnrecognizedExtension(
                ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\5\0"), critical=True)
        signer = signer or (issuer.key if issuer else self.key)
        self.subject = subject
        self.certificate = builder.sign(signer, digest or hashes.SHA384())

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def leaf(issuer, **more):
    words = {"ca": False, "usage": ("digital_signature",)} | more
    return Issued("leaf", issuer, **words)


ROOT = Issued("forged root")
MIDDLE = Issued("middle", ROOT, length=0)
LEAF = leaf(MIDDLE)


def fields_of(signer=LEAF, bundle=(ROOT, MIDDLE), **more):
    return {"module_id": "i-0", "digest": "SHA384",
            "timestamp": int(time.time() * 1000), "pcrs": {0: bytes(48)},
            "certificate": signer.der, "cabundle": [one.der for one in bundle],
            "public_key": None, "user_data": None, "nonce": None} | more


def sign(payload, signer=LEAF, protected=b"\xa1\x01\x38\x22", digest=hashes.SHA384):
    message = cbor2.dumps(["Signature1", protected, b"", payload])
    numbers = utils.decode_dss_signature(
        signer.key.sign(message, ec.ECDSA(digest())))
    return b"".join(number.to_bytes(48, "big") for number in numbers)


def document(fields=None, payload=None, signer=LEAF, protected=b"\xa1\x01\x38\x22",
             unprotected=None, **more):
    payload = cbor2.dumps(fields_of(signer) if fields is None else fields) \
        if payload is None else payload
    signature = sign(payload, signer, protected, **more)
    return cbor2.dumps([protected, unprotected or {}, payload, signature])


def without(field):
    return {key: value for key, value in fields_of().items() if key != field}


def under(signer, *bundle):
    """A document whose chain is that, from a root that is trusted."""
    return document(fields_of(signer, bundle), signer=signer)


def chain_with(**wrong):
    middle = Issued("middle", ROOT, **({"length": 0} | wrong))
    return under(leaf(middle), ROOT, middle)


def leaf_with(**wrong):
    return under(leaf(MIDDLE, **wrong), ROOT, MIDDLE)


def deep(count):
    chain = [ROOT]
    for number in range(count):
        chain.append(Issued(f"middle {number}", chain[-1]))
    return under(leaf(chain[-1]), *chain)


GOOD = document()
PAYLOAD = cbor2.loads(GOOD)[2]
SIGNATURE = cbor2.loads(GOOD)[3]


def indefinite():
    return b"\xbf" + PAYLOAD[1:] + b"\xff"


def twice():
    """The last field again, and a map that says so."""
    again = cbor2.dumps("nonce") + b"\xf6"
    return bytes([PAYLOAD[0] + 1]) + PAYLOAD[1:] + again


def long_integer():
    return PAYLOAD.replace(b"\x64pcrs\xa1\x00", b"\x64pcrs\xa1\x18\x00")


FORGED = {
    # The envelope.
    "empty array": (b"\x80", "envelope"),
    "five members": (b"\x85" + GOOD[1:] + b"\xf6", "envelope"),
    "a map": (b"\xa0", "envelope"),
    "another tag": (b"\xd1" + GOOD, "cbor"),
    "tags without end": (b"\xd2" * 4000, "cbor"),
    "nothing but a claim": (b"\x9b" + b"\xff" * 8, "envelope"),
    "a string of 2^63 bytes": (b"\x84\x5b\x7f" + b"\xff" * 7, "truncated"),
    "a string of 2^64 - 1 bytes": (b"\x84\x5b" + b"\xff" * 8, "truncated"),
    "indefinite array": (b"\x9f" + GOOD[1:] + b"\xff", "cbor"),
    "unprotected header": (document(unprotected={4: b"x"}), "envelope"),
    "ES256": (document(protected=cbor2.dumps({1: -7})), "algorithm"),
    "ES384 and more": (document(protected=cbor2.dumps({1: -35, 4: b"x"})),
                       "algorithm"),
    "no algorithm": (document(protected=b"\xa0"), "algorithm"),
    "algorithm in text": (document(protected=cbor2.dumps({1: "ES384"})),
                          "algorithm"),
    "SHA-512": (document(digest=hashes.SHA512), "signature"),
    "short signature": (cbor2.dumps([b"\xa1\x01\x38\x22", {}, PAYLOAD,
                                     SIGNATURE[:64]]), "signature-size"),
    "number above the order": (cbor2.dumps([
        b"\xa1\x01\x38\x22", {}, PAYLOAD, SIGNATURE[:48] + b"\xff" * 48]),
        "signature-range"),
    "one number is zero": (cbor2.dumps([
        b"\xa1\x01\x38\x22", {}, PAYLOAD, SIGNATURE[:48] + bytes(48)]),
        "signature-range"),
    "empty payload": (document(payload=b""), "payload-size"),
    "large payload": (document(payload=bytes(16385)), "payload-size"),
    # The fields.
    "payload is an array": (document([]), "fields"),
    "indefinite payload": (document(payload=indefinite()), "cbor"),
    "long integer": (document(payload=long_integer()), "cbor"),
    "behind the payload": (document(payload=PAYLOAD + b"\0"), "trailing"),
    "a field twice": (document(payload=twice()), "fields"),
    "an unknown field": (document(fields_of(extra=1)), "fields"),
    "no pcrs": (document(without("pcrs")), "fields"),
    "no cabundle": (document(without("cabundle")), "fields"),
    "no module_id": (document(without("module_id")), "fields"),
    "empty module_id": (document(fields_of(module_id="")), "module-id"),
    "module_id in bytes": (document(fields_of(module_id=b"i-0")), "module-id"),
    "module_id for a terminal": (document(fields_of(module_id="\x1b[2J")),
                                 "module-id"),
    "timestamp 0": (document(fields_of(timestamp=0)), "timestamp"),
    "timestamp below 0": (document(fields_of(timestamp=-1)), "timestamp"),
    "timestamp in floats": (document(fields_of(timestamp=1.5)), "cbor"),
    "no registers": (document(fields_of(pcrs={})), "pcr-map"),
    "register 32": (document(fields_of(pcrs={32: bytes(48)})), "pcr-map"),
    "register -1": (document(fields_of(pcrs={-1: bytes(48)})), "pcr-map"),
    "short register": (document(fields_of(pcrs={0: bytes(20)})), "pcr-map"),
    "empty bundle": (document(fields_of(cabundle=[])), "cabundle"),
    "long bundle": (document(fields_of(cabundle=[b"x"] * 17)), "cabundle"),
    "long certificate": (document(fields_of(certificate=bytes(1025))),
                         "certificate"),
    "empty certificate": (document(fields_of(certificate=b"")), "certificate"),
    "long nonce": (document(fields_of(nonce=bytes(1025))), "nonce-size"),
    "long user_data": (document(fields_of(user_data=bytes(1025))),
                       "user-data-size"),
    "long public_key": (document(fields_of(public_key=bytes(1025))),
                        "public-key"),
    "nonce in text": (document(fields_of(nonce="x")), "nonce-size"),
    # The certificates.
    "no DER": (document(fields_of(certificate=b"x" * 600)), "der"),
    "behind the DER": (document(fields_of(certificate=LEAF.der + b"\0")), "der"),
    "RSA in the middle": (chain_with(key=rsa.generate_private_key(65537, 2048)),
                          "key"),
    "P-256 in the middle": (chain_with(key=ec.generate_private_key(
        ec.SECP256R1())), "key"),
    "SHA-256 in the middle": (chain_with(digest=hashes.SHA256()),
                              "certificate-algorithm"),
    "a stranger has signed it": (chain_with(
        signer=ec.generate_private_key(ec.SECP384R1())), "chain-signature"),
    "no authority": (chain_with(ca=False, length=None), "authority"),
    "no constraints": (chain_with(ca=None), "authority"),
    "may not sign certificates": (chain_with(usage=("digital_signature",)),
                                  "authority"),
    "no usage": (chain_with(usage=None), "authority"),
    "too deep": (under(leaf(Issued("two", MIDDLE)), ROOT, MIDDLE), "issuer-missing"),
    "leaf is an authority": (leaf_with(ca=True, usage=AUTHORITY), "leaf"),
    "leaf may not sign": (leaf_with(usage=("key_agreement",)), "leaf"),
    "what nobody knows is critical": (leaf_with(critical=True), "chain"),
    "no issuer": (leaf_with(issuer_name="nobody"), "issuer-missing"),
}

# The independent one does not look at these.
LAX = {"indefinite array", "indefinite payload", "long integer", "a field twice",
       "long bundle", "no usage", "what nobody knows is critical",
       "module_id for a terminal", "leaf may not sign"}


def test_the_forgers_own_is_good(verifier):
    assert verifier.result(GOOD, ROOT.pem) == "good"
    assert opinion(GOOD, ROOT.certificate) == "good"


def test_the_tag_of_cose_sign1_may_be_there(verifier):
    assert verifier.result(b"\xd2" + GOOD, ROOT.pem) == "good"


@pytest.mark.parametrize("field", ["public_key", "user_data", "nonce"])
def test_what_is_optional_may_be_absent(verifier, field):
    assert verifier.result(document(without(field)), ROOT.pem) == "good"


def test_documents_of_a_tpm_are_read(verifier):
    fields = without("pcrs") | {"nitrotpm_pcrs": {4: bytes(48)}}
    assert verifier.result(document(fields), ROOT.pem, "--pcr",
                           "4=" + "00" * 48) == "good"


def test_any_order_of_fields_is_good(verifier):
    fields = dict(reversed(fields_of().items()))
    assert verifier.result(document(fields), ROOT.pem) == "good"


@pytest.mark.parametrize("count", [1, 5, 15])
def test_a_chain_may_be_long(verifier, count):
    assert verifier.result(deep(count), ROOT.pem) == "good"


@pytest.mark.parametrize("forged", FORGED)
def test_what_is_forged_is_refused(verifier, forged):
    data, result = FORGED[forged]
    assert verifier.result(data, ROOT.pem) == result
    assert forged in LAX or opinion(data, ROOT.certificate) != "good"
