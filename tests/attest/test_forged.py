# SPDX-License-Identifier: BSD-3-Clause
"""Documents that the card would never make, signed by a forger who has a root
that is trusted: both verifiers refuse each, and each says why."""
import datetime
import os
import pty
import subprocess
import time

import cbor2
import pytest
import verify_document
from conftest import BUILD
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from test_verifiers import opinion

DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)
AUTHORITY = ("digital_signature", "key_cert_sign", "crl_sign")
USAGES = ("digital_signature", "content_commitment", "key_encipherment",
          "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
          "encipher_only", "decipher_only")


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Issued:
    """A certificate and its key; what is wrong with it are its keywords."""

    def __init__(self, subject, issuer=None, ca=True, length=None, usage=AUTHORITY,
                 key=None, digest=None, more=(), signer=None, issuer_name=None,
                 days=(-1, 1), parts=None):
        self.key = key or ec.generate_private_key(ec.SECP384R1())
        now = datetime.datetime.utcnow().replace(microsecond=0)
        builder = (x509.CertificateBuilder()
                   .subject_name(name(subject))
                   .issuer_name(name(issuer_name or (
                       issuer.subject if issuer else subject)))
                   .public_key(self.key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now + days[0] * DAY)
                   .not_valid_after(now + days[1] * DAY))
        if ca is not None:
            builder = builder.add_extension(
                x509.BasicConstraints(ca=ca, path_length=length), critical=True)
        if usage is not None:
            builder = builder.add_extension(x509.KeyUsage(
                **{word: word in usage for word in USAGES}), critical=True)
        for extension, is_critical in more:
            builder = builder.add_extension(extension, is_critical)
        signer = signer or (issuer.key if issuer else self.key)
        self.subject = subject
        self.certificate = builder.sign(signer, digest or hashes.SHA384())
        self.der = self.certificate.public_bytes(serialization.Encoding.DER)
        if parts:
            self.der = remade(self.der, signer, parts)

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def tlv(tag, *parts):
    body = b"".join(parts)
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8 or 1, "big")
    head = size if len(body) < 128 else bytes([0x80 | len(size)]) + size
    return bytes([tag]) + head + body


def head_of(der):
    """How long its head is, and what follows it."""
    if der[1] < 0x80:
        return 2, der[1]
    count = der[1] & 0x7f
    return 2 + count, int.from_bytes(der[2:2 + count], "big")


def body_of(der):
    head, size = head_of(der)
    return der[head:head + size]


def split(der):
    """The items of which one consists."""
    rest, items = body_of(der), []
    while rest:
        size = sum(head_of(rest))
        items.append(rest[:size])
        rest = rest[size:]
    return items


# Of a TBSCertificate: RFC 5280 4.1.
VERSION, ALGORITHM, KEY, EXTENSIONS = 0, 2, 6, 7
VERSION_1 = {VERSION: lambda _: b"", EXTENSIONS: lambda _: b""}


def remade(der, signer, parts):
    """A certificate with other parts, and signed anew: no library would make it."""
    tbs, algorithm, _ = split(der)
    items = split(tbs)
    for part, make in parts.items():
        items[part] = make(items[part])
    tbs = tlv(0x30, *items)
    signature = signer.sign(tbs, ec.ECDSA(hashes.SHA384()))
    return tlv(0x30, tbs, algorithm, tlv(3, b"\0", signature))


def with_point(point):
    """The same key's certificate with other bytes for its point."""
    return {KEY: lambda key: tlv(0x30, split(key)[0], tlv(3, b"\0", point))}


def by_numbers(key):
    """The curve by its numbers and not by its name."""
    return subprocess.run(
        ["openssl", "pkey", "-pubin", "-inform", "DER", "-pubout", "-outform",
         "DER", "-ec_param_enc", "explicit"], input=key, check=True,
        capture_output=True).stdout


def compressed(issued):
    return issued.key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)


def with_extension(*parts):
    """One more extension, as bytes."""
    return {EXTENSIONS: lambda all_: tlv(0xa3, tlv(
        0x30, *split(split(all_)[0]), tlv(0x30, *parts)))}


def extension(oid, value, is_critical=True):
    return x509.UnrecognizedExtension(ObjectIdentifier(oid), value), is_critical


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


def long_form(issued):
    """Its outermost length is not told, which DER does not allow."""
    return b"\x30\x80" + body_of(issued.der) + b"\0\0"


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


PROTECTED = b"\xa1\x01\x38\x22"
GOOD = document()
PAYLOAD = cbor2.loads(GOOD)[2]
SIGNATURE = cbor2.loads(GOOD)[3]


def indefinite():
    return b"\xbf" + PAYLOAD[1:] + b"\xff"


def twice():
    """The last field again, and a map that says so."""
    again = cbor2.dumps("nonce") + b"\xf6"
    return bytes([PAYLOAD[0] + 1]) + PAYLOAD[1:] + again


def changed(before, after_, fields=None):
    """A payload with other bytes in one place."""
    payload = cbor2.dumps(fields or fields_of())
    assert payload.count(before) == 1
    return document(payload=payload.replace(before, after_))


def enveloped(protected=PROTECTED, unprotected=b"\xa0", payload=None,
              signature=SIGNATURE):
    """An envelope of parts that are CBOR already."""
    return (b"\x84" + cbor2.dumps(protected) + unprotected
            + (payload or cbor2.dumps(PAYLOAD)) + cbor2.dumps(signature))


def header(protected):
    """Such a header, and it is what is signed."""
    return document(protected=protected)


def half_of(number):
    """The other signature of the same: nobody needs the key for it."""
    r, s = SIGNATURE[:48], int.from_bytes(SIGNATURE[48:], "big")
    return r + (number - s).to_bytes(48, "big")


ORDER = verify_document.ORDER_P384
ONE_PCR = b"\x64pcrs\xa1\x00\x58\x30" + bytes(48)
OTHER = Issued("other", ROOT)
OTHER_LEAF = leaf(OTHER)
DEEP = Issued("deep", MIDDLE)
SHORT_ROOT = Issued("forged root", length=0)
PURPOSE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
ANY_PURPOSE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH,
                                     ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
# What both say, or what each of them says: libnitro-attest first.
FORGED = {
    # The envelope.
    "empty array": (b"\x80", "envelope"),
    "five members": (b"\x85" + GOOD[1:] + b"\xf6", "envelope"),
    "a map": (b"\xa0", "envelope"),
    "another tag": (b"\xd1" + GOOD, "cbor", "envelope"),
    "the tag in a long form": (b"\xd8\x12" + GOOD, "cbor"),
    "the tag twice": (b"\xd2\xd2" + GOOD, "cbor", "envelope"),
    "tags without end": (b"\xd2" * 4000, "cbor"),
    "nothing but a claim": (b"\x9b" + b"\xff" * 8, "envelope", "cbor"),
    "a string of 2^63 bytes": (b"\x84\x5b\x7f" + b"\xff" * 7, "truncated", "cbor"),
    "a string of 2^64 - 1 bytes": (b"\x84\x5b" + b"\xff" * 8, "truncated", "cbor"),
    "indefinite array": (b"\x9f" + GOOD[1:] + b"\xff", "cbor"),
    "indefinite payload string": (enveloped(
        payload=b"\x5f" + cbor2.dumps(PAYLOAD) + b"\xff"), "cbor"),
    "payload is elsewhere": (enveloped(payload=b"\xf6"), "envelope"),
    "payload is text": (enveloped(payload=b"\x61x"), "envelope"),
    "unprotected header": (document(unprotected={4: b"x"}), "envelope"),
    "another algorithm, unprotected": (document(unprotected={1: -7}), "envelope"),
    "the algorithm is unprotected": (document(protected=b"", unprotected={1: -35}),
                                     "envelope"),
    "long unprotected header": (enveloped(unprotected=b"\xb8\0"), "cbor"),
    "ES256": (header(cbor2.dumps({1: -7})), "algorithm"),
    "ES384 and more": (header(cbor2.dumps({1: -35, 4: b"x"})), "algorithm"),
    "ES384 twice": (header(b"\xa2\x01\x38\x22\x01\x38\x22"), "algorithm"),
    "ES384 and ES256": (header(b"\xa2\x01\x38\x22\x01\x26"), "algorithm"),
    "ES384 in a long form": (header(b"\xa1\x18\x01\x38\x22"), "algorithm"),
    "ES384 in floats": (header(cbor2.dumps({1.0: -35.0})), "algorithm"),
    "ES384 of true": (header(cbor2.dumps({True: -35})), "algorithm"),
    "behind the header": (header(PROTECTED + b"\0"), "algorithm"),
    "no header": (header(b""), "algorithm"),
    "no algorithm": (header(b"\xa0"), "algorithm"),
    "algorithm in text": (header(cbor2.dumps({1: "ES384"})), "algorithm"),
    "SHA-512": (document(digest=hashes.SHA512), "signature"),
    "SHA-256": (document(digest=hashes.SHA256), "signature"),
    "short signature": (enveloped(signature=SIGNATURE[:64]), "signature-size"),
    "long signature": (enveloped(signature=SIGNATURE + b"\0"), "signature-size"),
    "signature in DER": (enveloped(signature=LEAF.key.sign(
        PAYLOAD, ec.ECDSA(hashes.SHA384()))), "signature-size"),
    "number above the order": (enveloped(signature=SIGNATURE[:48] + b"\xff" * 48),
                               "signature-range"),
    "number is the order": (enveloped(
        signature=SIGNATURE[:48] + ORDER.to_bytes(48, "big")), "signature-range"),
    "one number is zero": (enveloped(signature=SIGNATURE[:48] + bytes(48)),
                           "signature-range"),
    "numbers in other order": (enveloped(signature=SIGNATURE[48:] + SIGNATURE[:48]),
                               "signature"),
    "empty payload": (document(payload=b""), "payload-size"),
    "large payload": (document(payload=bytes(16385)), "payload-size"),
    # The fields.
    "payload is an array": (document([]), "fields"),
    "indefinite payload": (document(payload=indefinite()), "cbor"),
    "long integer": (changed(b"\xa1\x00", b"\xa1\x18\x00"), "cbor"),
    "behind the payload": (document(payload=PAYLOAD + b"\0"), "trailing"),
    "more fields are claimed": (document(payload=b"\xaa" + PAYLOAD[1:]), "truncated"),
    "a field twice": (document(payload=twice()), "fields", "cbor"),
    "an unknown field": (document(fields_of(extra=1)), "fields"),
    "a name in bytes": (changed(b"\x65nonce", b"\x45nonce"), "fields"),
    "a name that is no UTF-8": (changed(b"\x65nonce", b"\x65nonc\xff"), "fields",
                                "cbor"),
    "registers of both kinds": (document(fields_of(nitrotpm_pcrs={0: bytes(48)})),
                                "fields"),
    "no pcrs": (document(without("pcrs")), "fields"),
    "no cabundle": (document(without("cabundle")), "fields"),
    "no module_id": (document(without("module_id")), "fields"),
    "empty module_id": (document(fields_of(module_id="")), "module-id"),
    "long module_id": (document(fields_of(module_id="x" * 1025)), "module-id"),
    "module_id in bytes": (document(fields_of(module_id=b"i-0")), "module-id"),
    "module_id for a terminal": (document(fields_of(module_id="\x1b[2J")),
                                 "module-id"),
    "module_id that is no UTF-8": (changed(b"\x63i-0", b"\x63i-\xff"), "module-id",
                                   "cbor"),
    "another digest": (document(fields_of(digest="SHA512")), "digest"),
    "digest and more": (document(fields_of(digest="SHA384\0")), "digest"),
    "timestamp 0": (document(fields_of(timestamp=0)), "timestamp"),
    "timestamp below 0": (document(fields_of(timestamp=-1)), "timestamp"),
    "timestamp in floats": (document(fields_of(timestamp=1.5)), "cbor", "timestamp"),
    "timestamp is true": (document(fields_of(timestamp=True)), "cbor", "timestamp"),
    "timestamp in text": (document(fields_of(timestamp="1")), "timestamp"),
    "timestamp of 65 bits": (document(fields_of(timestamp=1 << 64)), "cbor",
                             "timestamp"),
    "timestamp in a big number": (changed(
        b"\x69timestamp\x01", b"\x69timestamp\xc2\x41\x01", fields_of(timestamp=1)),
        "cbor"),
    "no registers": (document(fields_of(pcrs={})), "pcr-map"),
    "registers in an array": (document(fields_of(pcrs=[bytes(48)])), "pcr-map"),
    "register 32": (document(fields_of(pcrs={32: bytes(48)})), "pcr-map"),
    "register -1": (document(fields_of(pcrs={-1: bytes(48)})), "pcr-map"),
    "register true": (document(fields_of(pcrs={True: bytes(48)})), "cbor", "pcr-map"),
    "register in text": (document(fields_of(pcrs={"0": bytes(48)})), "pcr-map"),
    "a register twice": (changed(ONE_PCR, ONE_PCR.replace(b"\xa1", b"\xa2", 1)
                                 + ONE_PCR[6:]), "pcr-map", "cbor"),
    "short register": (document(fields_of(pcrs={0: bytes(20)})), "pcr-map"),
    "long register": (document(fields_of(pcrs={0: bytes(49)})), "pcr-map"),
    "empty register": (document(fields_of(pcrs={0: b""})), "pcr-map"),
    "empty bundle": (document(fields_of(cabundle=[])), "cabundle"),
    "long bundle": (document(fields_of(cabundle=[b"x"] * 17)), "cabundle"),
    "bundle in bytes": (document(fields_of(cabundle=ROOT.der)), "cabundle"),
    "text in the bundle": (document(fields_of(cabundle=[ROOT.der, "x"])), "cabundle"),
    "long certificate": (document(fields_of(certificate=bytes(1025))),
                         "certificate"),
    "empty certificate": (document(fields_of(certificate=b"")), "certificate"),
    "long nonce": (document(fields_of(nonce=bytes(1025))), "nonce-size"),
    "long user_data": (document(fields_of(user_data=bytes(1025))),
                       "user-data-size"),
    "long public_key": (document(fields_of(public_key=bytes(1025))),
                        "public-key"),
    "empty public_key": (document(fields_of(public_key=b"")), "public-key"),
    "nonce in text": (document(fields_of(nonce="x")), "nonce-size"),
    "nonce is undefined": (changed(b"\x65nonce\xf6", b"\x65nonce\xf7"), "cbor",
                           "nonce-size"),
    # Each certificate.
    "no DER": (document(fields_of(certificate=b"x" * 600)), "der"),
    "behind the DER": (document(fields_of(certificate=LEAF.der + b"\0")), "der"),
    "BER around the leaf": (document(fields_of(certificate=long_form(LEAF))), "der"),
    "BER in the leaf": (leaf_with(parts={VERSION: lambda _: b"\xa0\x81\3\2\1\2"}),
                        "der"),
    "RSA in the middle": (chain_with(key=rsa.generate_private_key(65537, 2048)),
                          "key"),
    "P-256 in the middle": (chain_with(key=ec.generate_private_key(
        ec.SECP256R1())), "key"),
    "P-521 in the middle": (chain_with(key=ec.generate_private_key(
        ec.SECP521R1())), "key"),
    "a curve by its numbers": (leaf_with(parts={KEY: by_numbers}), "key"),
    "no point of the curve": (leaf_with(parts=with_point(
        b"\4" + bytes(47) + b"\1" + bytes(47) + b"\1")), "key"),
    "point at infinity": (leaf_with(parts=with_point(b"\0")), "key"),
    "point that is too short": (leaf_with(parts=with_point(b"\4" + bytes(64))), "key"),
    "SHA-256 in the middle": (chain_with(digest=hashes.SHA256()),
                              "certificate-algorithm"),
    "two algorithms": (leaf_with(parts={
        ALGORITHM: lambda algorithm: algorithm.replace(b"\4\3\3", b"\4\3\2")}),
        "chain-signature"),
    # Their chain.
    "a stranger has signed it": (chain_with(
        signer=ec.generate_private_key(ec.SECP384R1())), "chain-signature"),
    "no authority": (chain_with(ca=False, length=None), "authority"),
    "no constraints": (chain_with(ca=None), "authority"),
    "version 1": (chain_with(parts=VERSION_1), "authority"),
    "may not sign certificates": (chain_with(usage=("digital_signature",)),
                                  "authority"),
    "no usage": (chain_with(usage=None), "authority"),
    "a leaf has signed a leaf": (under(leaf(OTHER_LEAF), ROOT, OTHER, OTHER_LEAF),
                                 "authority"),
    "an issuer is not there": (under(leaf(DEEP), ROOT, MIDDLE), "issuer-missing"),
    "no issuer": (leaf_with(issuer_name="nobody"), "issuer-missing"),
    "too deep": (under(leaf(DEEP), ROOT, MIDDLE, DEEP), "path-length"),
    "in other order": (under(leaf(DEEP), ROOT, DEEP, MIDDLE), "order"),
    "upside down": (under(LEAF, MIDDLE, ROOT), "root"),
    "no root": (under(LEAF, MIDDLE), "root"),
    "one is not of the chain": (under(LEAF, ROOT, OTHER, MIDDLE), "order"),
    "one comes after its issuer": (under(LEAF, ROOT, MIDDLE, OTHER), "order"),
    "the root twice": (under(LEAF, ROOT, ROOT, MIDDLE), "order"),
    "one twice": (under(LEAF, ROOT, MIDDLE, MIDDLE), "order"),
    "the leaf is the root": (under(ROOT, ROOT), "order"),
    "the leaf in the bundle": (under(LEAF, ROOT, MIDDLE, LEAF), "order"),
    "leaf is an authority": (leaf_with(ca=True, usage=AUTHORITY), "leaf"),
    "leaf may not sign": (leaf_with(usage=("key_agreement",)), "leaf"),
    "leaf without usage": (leaf_with(usage=None), "leaf"),
    "leaf of version 1": (leaf_with(parts=VERSION_1), "leaf"),
    "leaf has a path length": (leaf_with(ca=None, more=[
        extension("2.5.29.19", b"\x30\3\2\1\0")]), "leaf", "der"),
    "leaf is for servers": (leaf_with(more=[(PURPOSE, False)]), "leaf"),
    "leaf is for servers alone": (leaf_with(more=[(PURPOSE, True)]), "leaf"),
    "what nobody knows is critical": (leaf_with(more=[
        extension("1.3.6.1.4.1.99999.1", b"\5\0")]), "chain"),
    "the same in the middle": (chain_with(more=[
        extension("1.3.6.1.4.1.99999.1", b"\5\0")]), "chain"),
    "a policy is asked for": (chain_with(more=[
        (x509.PolicyConstraints(0, None), True)]), "chain"),
    "another issuer's identifier": (leaf_with(more=[(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(
            OTHER.key.public_key()), False)]), "good"),
    "an extension twice": (leaf_with(parts=with_extension(
        b"\6\3\x55\x1d\x0f", b"\1\1\xff", b"\4\4\3\2\7\x80")), "der"),
    "one that nobody knows twice": (leaf_with(
        more=[extension("1.3.6.1.4.1.99999.1", b"\5\0", False)],
        parts=with_extension(bytes.fromhex("06092b06010401868d1f01"), b"\4\2\5\0")),
        "der"),
    "constraints that are none": (chain_with(ca=None, more=[
        extension("2.5.29.19", b"\x30\3\5\5\5")]), "authority", "der"),
    # Their time.
    "the middle has ended": (chain_with(days=(-3, -1)), "expired"),
    "the middle has not begun": (chain_with(days=(1, 3)), "not-yet-valid"),
    "the leaf has ended": (leaf_with(days=(-3, -1)), "expired"),
    "the leaf has not begun": (leaf_with(days=(1, 3)), "not-yet-valid"),
}


def both(verifier, data, *words, root=ROOT):
    """What the two say: libnitro-attest, and the one that is not ours."""
    return verifier.result(data, root.pem, *words), opinion(data, root.certificate)


BELIEVED = {
    "the forger's own": GOOD,
    "the tag of COSE_Sign1": b"\xd2" + GOOD,
    "no public_key": document(without("public_key")),
    "no user_data": document(without("user_data")),
    "no nonce": document(without("nonce")),
    "empty nonce": document(fields_of(nonce=b"")),
    "fields in other order": document(dict(reversed(fields_of().items()))),
    "registers of a TPM": document(without("pcrs") | {"nitrotpm_pcrs": {4: bytes(48)}}),
    "registers of all sizes": document(fields_of(
        pcrs={0: bytes(32), 9: bytes(48), 31: bytes(64)})),
    "under the root itself": under(leaf(ROOT), ROOT),
    "six certificates": deep(4),
    "seventeen certificates": deep(15),
    "a compressed point": leaf_with(
        key=LEAF.key, parts=with_point(compressed(LEAF))),
    "a leaf for everything": leaf_with(more=[(ANY_PURPOSE, False)]),
    "a leaf without constraints": leaf_with(ca=None),
    # ECDSA is so: nitro-attest(3), NOTES.
    "the other signature": enveloped(signature=half_of(ORDER)),
}


@pytest.mark.parametrize("name", BELIEVED)
def test_both_believe_what_may_be(verifier, name):
    assert both(verifier, BELIEVED[name]) == ("good", "good")


@pytest.mark.parametrize("forged", FORGED)
def test_what_is_forged_is_refused_by_both(verifier, forged):
    data, *reasons = FORGED[forged]
    assert both(verifier, data) == (reasons[0], reasons[-1])


def test_a_root_may_allow_no_authority(verifier):
    middle = Issued("middle", SHORT_ROOT)
    assert both(verifier, under(leaf(middle), SHORT_ROOT, middle),
                root=SHORT_ROOT) == ("path-length", "path-length")
    assert both(verifier, under(leaf(SHORT_ROOT), SHORT_ROOT),
                root=SHORT_ROOT) == ("good", "good")


def test_both_ends_of_a_validity_are_within(verifier):
    first, last = LEAF.certificate.not_valid_before, LEAF.certificate.not_valid_after
    for at, reason in ((first - SECOND, "not-yet-valid"), (first, "good"),
                       (last, "good"), (last + SECOND, "expired")):
        assert verifier.result(GOOD, ROOT.pem, "--at",
                               at.strftime("%Y-%m-%dT%H:%M:%SZ")) == reason
        assert opinion(GOOD, ROOT.certificate, at=at) == reason


@pytest.mark.parametrize("kind, words, ours, theirs", [
    ("pcrs", [], "good", "good"),
    ("pcrs", ["--nitrotpm"], "pcr-absent", "good"),
    ("nitrotpm_pcrs", [], "pcr-absent", "pcr-absent"),
    ("nitrotpm_pcrs", ["--nitrotpm"], "good", "pcr-absent"),
])
def test_a_tpms_registers_are_not_an_enclaves(verifier, kind, words, ours, theirs):
    """A guest can make a register 16 of its TPM what an enclave's is."""
    data = document(without("pcrs") | {kind: {16: b"\5" * 48}})
    assert verifier.result(data, ROOT.pem, "--pcr", "16=" + "05" * 48, *words) == ours
    assert opinion(data, ROOT.certificate, pcrs={16: b"\5" * 48}) == theirs


def test_nobody_is_asked_for_a_roots_password(verifier):
    pem = ROOT.pem.replace(b"-----\n", b"-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: "
                           b"AES-256-CBC," + b"00" * 16 + b"\n\n", 1)
    (verifier.folder / "document").write_bytes(GOOD)
    (verifier.folder / "root").write_bytes(pem)
    child, terminal = pty.fork()
    if not child:
        os.execl(BUILD / "nitroctl", "nitroctl", "attest", "verify",
                 verifier.folder / "document", "--root", verifier.folder / "root")
    os.waitpid(child, 0)                    # it would wait for an answer
    assert b"is no certificate in PEM or DER" in os.read(terminal, 4096)
    os.close(terminal)
