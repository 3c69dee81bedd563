# SPDX-License-Identifier: BSD-3-Clause
"""libnitro-attest and the independent verifier are of one opinion."""
import datetime
import pathlib
import random

import cbor2
import pytest
import verify_document
from cryptography import x509
from reasons import REASONS

CORPUS = pathlib.Path(__file__).parents[1] / "fuzz/corpus/attest_fuzz"


def opinion(document, root, **more):
    """The independent verifier's."""
    try:
        verify_document.verify(document, root, **more)
    except verify_document.Refused as why:
        return why.reason
    return "good"


def test_both_believe_a_good_one(installation, verifier):
    document = installation.document("--nonce", "0102", "--user-data", "aa")
    root = installation.root_file.read_bytes()
    status, report = verifier.report(
        document, root, "--nonce", "0102", "--user-data", "aa", "--pcr",
        "4=" + "00" * 48)
    assert status == 0 and report["good"]
    assert [check["verdict"] for check in report["checks"]] == ["ok"] * 9
    assert opinion(document, installation.root, nonce=b"\1\2") == "good"


@pytest.mark.parametrize("fault", REASONS)
def test_both_refuse_a_wrong_one_for_the_same_reason(installation, verifier, fault):
    document = installation.document("--fault", fault)
    ours = verifier.result(document, installation.root_file.read_bytes())
    assert (ours, opinion(document, installation.root)) == (REASONS[fault],) * 2


def test_no_two_faults_have_the_same_reason():
    assert len(set(REASONS.values())) == len(REASONS)


def test_two_faults_are_both_reported(installation, verifier):
    document = installation.document("--fault", "expired_leaf", "--fault",
                                     "altered_payload")
    _, report = verifier.report(document, installation.root_file.read_bytes())
    assert [check["result"] for check in report["checks"]
            if check["verdict"] == "FAILED"] == ["expired", "signature"]


@pytest.mark.parametrize("words, result", [
    (["--nonce", "00"], "nonce"),
    (["--nonce", ""], "nonce"),
    (["--user-data", "00"], "user-data"),
    (["--pcr", "0=" + "11" * 48], "pcr"),
    (["--pcr", "0=" + "00" * 32], "pcr"),
    (["--pcr", "16=" + "00" * 48], "pcr-absent"),
    (["--at", "2019-01-01T00:00:00Z"], "not-yet-valid"),
    (["--at", "@4000000000"], "expired"),
])
def test_what_was_expected_must_be_there(installation, verifier, words, result):
    assert verifier.result(installation.document(),
                           installation.root_file.read_bytes(), *words) == result


def test_the_time_can_be_given(installation, verifier):
    document = installation.document("--offset", -90 * 86400)
    root = installation.root_file.read_bytes()
    at = datetime.datetime.utcnow() - datetime.timedelta(days=90)
    assert verifier.result(document, root) == "expired"
    assert verifier.result(document, root, "--at",
                           at.strftime("%Y-%m-%dT%H:%M:%SZ")) == "good"
    assert opinion(document, installation.root, at=at) == "good"


def test_the_root_may_be_der(installation, verifier):
    document = installation.document()
    der = cbor2.loads(cbor2.loads(document)[2])["cabundle"][0]
    assert verifier.result(document, der) == "good"


def test_no_changed_bit_is_believed(installation, verifier):
    """Any bit of the document: each verifier finds something wrong with it."""
    document = installation.document("--nonce", "33" * 16)
    root = installation.root_file.read_bytes()
    chance = random.Random(9052)
    for count in range(300):
        changed = bytearray(document)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        assert opinion(bytes(changed), installation.root) != "good"
        if count % 6 == 0:
            assert verifier.result(bytes(changed), root) != "good"


def test_no_beginning_is_believed(installation, verifier):
    document = installation.document()
    root = installation.root_file.read_bytes()
    for size in range(1, len(document), 397):
        assert opinion(document[:size], installation.root) == "truncated"
        assert verifier.result(document[:size], root) == "truncated"
    assert verifier.result(document + b"\0", root) == "trailing"
    assert opinion(document + b"\0", installation.root) == "trailing"


CORPUS_REASONS = {"good": "good", "nonce": "good", "tagged": "good"} | {
    fault: REASONS[fault] for fault in (
        "bad_signature", "bundle_order", "expired_leaf", "leaf_key",
        "missing_intermediate", "path_length")}


@pytest.mark.parametrize("name", CORPUS_REASONS)
def test_the_corpus_comes_as_far_as_it_is_to(verifier, name):
    """Else what is fuzzed from it would be refused at the first check."""
    document = (CORPUS / name).read_bytes()
    envelope = cbor2.loads(document)
    fields = cbor2.loads(getattr(envelope, "value", envelope)[2])
    root, seconds = fields["cabundle"][0], fields["timestamp"] // 1000
    at = datetime.datetime.utcfromtimestamp(seconds)
    reason = CORPUS_REASONS[name]
    assert verifier.result(document, root, "--at", f"@{seconds}") == reason
    assert opinion(document, x509.load_der_x509_certificate(root), at=at) == reason
