# SPDX-License-Identifier: BSD-3-Clause
"""The card's documents have the measured shape, and one that was made wrong is
refused for its own reason."""
import datetime
import re
import subprocess

import cbor2
import pytest
import verify_document
from conftest import BUILD
from cryptography import x509
from cryptography.x509.oid import NameOID
from reasons import REASONS, bits


def fields_of(document):
    return cbor2.loads(cbor2.loads(document)[2])


def chain_of(document):
    fields = fields_of(document)
    return [x509.load_der_x509_certificate(der)
            for der in fields["cabundle"] + [fields["certificate"]]]


def common_name(certificate):
    return certificate.subject.get_attributes_for_oid(
        NameOID.COMMON_NAME)[0].value


def constraints(certificate):
    found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert found.critical
    return found.value.ca, found.value.path_length


def usages(certificate):
    found = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    names = ("digital_signature", "content_commitment", "key_encipherment",
             "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
    return found.critical, {name for name in names if getattr(found.value, name)}


def test_a_document_is_good(installation):
    fields = verify_document.verify(installation.document(), installation.root)
    assert re.fullmatch("i-[0-9a-f]{17}-enc[0-9a-f]{16}", fields["module_id"])
    now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    assert abs(fields["timestamp"] / 1000 - now) < 300


def test_what_was_asked_for_is_in_it(installation, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(bytes(range(256)) * 4)
    fields = verify_document.verify(
        installation.document("--nonce", "00ff", "--user-data", "ab" * 1024,
                              "--public-key", key, "--pcr", "31=" + "5a" * 48),
        installation.root, nonce=b"\x00\xff", pcrs={31: b"\x5a" * 48})
    assert fields["user_data"] == b"\xab" * 1024
    assert fields["public_key"] == key.read_bytes()
    assert list(fields["pcrs"]) == [*range(16), 31]


def test_more_than_a_field_may_have_is_refused(installation):
    with pytest.raises(subprocess.CalledProcessError) as why:
        installation.document("--nonce", "ab" * 1025)
    assert b"E2BIG" in why.value.stderr


def test_the_envelope_is_as_measured(installation):
    document = installation.document("--nonce", "11" * 256, "--user-data", "22" * 91)
    assert document[0] == 0x84                      # no tag
    protected, unprotected, payload, signature = cbor2.loads(document)
    assert protected == bytes.fromhex("a1013822")
    assert unprotected == {}
    assert len(signature) == 96
    # Encoded anew, in shortest form and definite lengths, it is the same.
    assert cbor2.dumps(cbor2.loads(document)) == document
    assert cbor2.dumps(cbor2.loads(payload)) == payload
    assert 4426 <= len(document) <= 4900


def test_a_document_without_words_is_as_large_as_a_real_one(installation):
    assert 4400 <= len(installation.document("--pcr", "0=" + "11" * 48)) <= 4748


def test_fields_and_nulls_are_as_measured(installation):
    fields = fields_of(installation.document())
    assert list(fields) == [
        "module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle",
        "public_key", "user_data", "nonce"]
    assert fields["digest"] == "SHA384"
    assert fields["pcrs"] == {n: bytes(48) for n in range(16)}
    assert [fields[name] for name in ("public_key", "user_data", "nonce")] == [
        None, None, None]
    assert len(fields["cabundle"]) == 4


def test_the_chain_is_as_measured(installation):
    module = "i-0123456789abcdef0-enc0011223344556677"
    before = datetime.datetime.utcnow().replace(microsecond=0)
    root, regional, zonal, instance, leaf = chain = chain_of(
        installation.document("--module-id", module, "--region", "eu-north-1"))
    domain = "simulated.nitro-enclaves"
    assert common_name(root) == domain
    assert re.fullmatch(rf"[0-9a-f]{{16}}\.eu-north-1\.{domain}",
                        common_name(regional))
    assert re.fullmatch(rf"[0-9a-f]{{16}}\.zonal\.eu-north-1\.{domain}",
                        common_name(zonal))
    assert common_name(instance) == f"i-0123456789abcdef0.eu-north-1.{domain}"
    assert common_name(leaf) == f"{module}.eu-north-1.simulated"
    hour = datetime.timedelta(hours=1)
    lengths = [one.not_valid_after - one.not_valid_before for one in chain[1:]]
    assert lengths == [480 * hour, 144 * hour, 24 * hour,
                       3 * hour + datetime.timedelta(seconds=3)]
    assert (root.not_valid_before.year, root.not_valid_after.year) == (2019, 2049)
    assert [constraints(one) for one in chain] == [
        (True, None), (True, 2), (True, 1), (True, 0), (False, None)]
    authority = (True, {"digital_signature", "key_cert_sign", "crl_sign"})
    assert [usages(one) for one in chain] == [
        authority, authority, authority, (True, {"key_cert_sign"}),
        (False, {"digital_signature", "content_commitment"})]
    assert all(one.public_key().curve.name == "secp384r1" and
               one.signature_algorithm_oid._name == "ecdsa-with-SHA384" and
               one.version is x509.Version.v3 for one in chain)
    serial = f"{leaf.serial_number:032x}"
    assert serial.startswith("0011223344556677" + "00000000")
    issued = datetime.datetime.utcfromtimestamp(int(serial[24:], 16))
    assert issued == leaf.not_valid_before and issued >= before


def test_certificates_are_as_large_as_real_ones(installation):
    fields = fields_of(installation.document(
        "--module-id", "i-0123456789abcdef0-enc0011223344556677"))
    real = [533, 707, 793, 643, 640]
    ours = [len(der) for der in fields["cabundle"] + [fields["certificate"]]]
    assert all(abs(a - b) <= 60 for a, b in zip(ours, real)), ours


def test_nobody_takes_it_for_amazons(installation):
    for certificate in chain_of(installation.document()):
        text = certificate.subject.rfc4514_string().lower()
        assert "simulated" in text
        assert "amazon" not in text and "aws" not in text


def test_root_and_module_are_the_same_at_each_start(installation, another):
    first, second = installation.document(), installation.document()
    assert chain_of(first)[0] == chain_of(second)[0] == installation.root
    assert fields_of(first)["module_id"] == fields_of(second)["module_id"]
    assert chain_of(first)[1] != chain_of(second)[1]
    assert another.root.public_key() != installation.root.public_key()
    assert fields_of(another.document())["module_id"] != \
        fields_of(first)["module_id"]


def test_another_installations_document_is_refused(installation, another):
    with pytest.raises(verify_document.Refused) as why:
        verify_document.verify(another.document(), installation.root)
    assert why.value.reason == "root"


def test_a_lost_root_certificate_is_made_anew_for_the_same_key(another):
    (another.folder / "state/security-chip/attestation-root.der").unlink()
    root = x509.load_pem_x509_certificate(another.run("--root"))
    assert root != another.root
    assert root.public_key().public_numbers() == \
        another.root.public_key().public_numbers()


def test_cards_that_start_at_the_same_time_have_one_root(tmp_path):
    """Each shows what it has in memory, which is what its documents have."""
    for number in range(8):
        starting = [subprocess.Popen(
            [BUILD / "attest-document", tmp_path / str(number), "--root"],
            stdout=subprocess.PIPE) for _ in range(6)]
        roots = {one.communicate(timeout=60)[0] for one in starting}
        assert all(one.returncode == 0 for one in starting)
        assert len(roots) == 1


@pytest.mark.parametrize("days", [-2000, -1, 1, 30, 8000])
def test_the_clock_can_be_set(installation, days):
    document = installation.document("--offset", days * 86400)
    at = datetime.datetime.utcnow() + datetime.timedelta(days=days)
    fields = verify_document.verify(document, installation.root, at=at)
    there = datetime.datetime.utcfromtimestamp(fields["timestamp"] / 1000)
    assert abs(there - at) < datetime.timedelta(minutes=5)
    with pytest.raises(verify_document.Refused) as why:
        verify_document.verify(document, installation.root)
    assert why.value.reason == ("expired" if days < 0 else "not-yet-valid")


def test_every_fault_is_tested():
    assert set(bits()) == set(REASONS)
