# SPDX-License-Identifier: BSD-3-Clause
"""Attestation through the TPM: what nitro-tpm-attest does, with a card's TPM."""
import hashlib
import io
import json
import os
import struct
import subprocess
import time

import cbor2
import pytest

import test_kms
import tpm_client
import verify_document
from conftest import BUILD
from tpm_client import (AUTH_READ, AUTH_WRITE, NO_DA, OWNER_READ, OWNER_WRITE,
                        POLICY_READ, POLICY_WRITE, READ_STCLEAR, Password,
                        PasswordPolicy, Session, Tpm, TpmError)

BOTH = AUTH_READ | AUTH_WRITE | NO_DA      # wrong passwords do not lock it
EK, INDEX = 0x81000000, 0x01000000
INSTANCE = "i-0123456789abcdef0"
ALL = dict.fromkeys(("user_data", "nonce", "public_key"))


class Card:
    """nitro-card with a TPM, and nobody at its channel yet."""

    def __init__(self, folder):
        self.folder, self.sockets = folder, folder / "sockets"
        self.config = folder / "card.yaml"
        self.config.write_text(
            f"card: {{ state-dir: {folder}/state }}\n"
            f"tpm: {{ instance: {INSTANCE} }}\n"
            "functions: [ { ebs: { volume: { memory: 1MiB } } } ]\n")
        self.process = None

    def start(self):
        log = self.folder / "card.log"
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [BUILD / "nitro-card", "--socket-dir", self.sockets, self.config],
                stdout=file, stderr=file)
        while b"control on" not in log.read_bytes():
            assert self.process.poll() is None, log.read_text()
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, (self.folder / "card.log").read_text()

    def ctl(self, *words):
        return subprocess.run(
            [BUILD / "nitroctl", "--socket-dir", self.sockets, *words], check=True,
            capture_output=True, timeout=60).stdout


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    one = Card(tmp_path_factory.mktemp("card"))
    one.start()
    yield one
    one.stop()


@pytest.fixture
def tpm(card):
    one = Tpm(card.sockets / "tpm0.tpm")
    yield one
    one.close()


@pytest.fixture
def key(tpm):
    """The endorsement key at a persistent handle, and its modulus."""
    handle, modulus = tpm.create_endorsement_key()
    tpm.evict(handle, EK)
    tpm.flush(handle)
    yield EK, modulus
    tpm.evict(EK, EK)


@pytest.fixture
def buffer(tpm):
    """Makes an index of a size, with a password; undefined afterwards."""
    made = []

    def make(size, attributes=BOTH, auth=b"pass"):
        index = INDEX + len(made)
        tpm.define(index, size, auth, attributes, Password())
        made.append(index)
        return index

    yield make
    for index in made:
        tpm.undefine(index)


def first_item(data):
    return cbor2.load(io.BytesIO(data))


def ask(tpm, index, request, auth=b"pass"):
    """By the index's password."""
    tpm.write(index, request, Password(auth))
    tpm.nsm_request(index, Password(auth))
    return first_item(tpm.read(index, Password(auth)))


def attestation(**fields):
    return cbor2.dumps({"Attestation": ALL | fields})


def attest(tpm, key, request):
    """Step by step as nitro-tpm-attest: returns the response in the index."""
    handle, modulus = key
    auth = os.urandom(64)
    session = Session(tpm, handle, modulus, True)
    tpm.define(INDEX, 8192, auth, AUTH_READ | AUTH_WRITE, session)
    tpm.write(INDEX, request, session.using(auth))
    tpm.flush(session.handle)
    raw = Session(tpm, handle, modulus, False)
    tpm.nsm_request(INDEX, raw.using(auth))
    tpm.flush(raw.handle)
    session = Session(tpm, handle, modulus, True)
    response = tpm.read(INDEX, session.using(auth))
    tpm.flush(session.handle)
    tpm.undefine(INDEX)
    return response


def extend(tpm, pcr, text):
    tpm.authorised(0x13c, [pcr], [], tpm_client.sized(text), Password())


def test_nitro_tpm_attest_gets_a_document_that_verifies(card, tpm, key, verifier):
    extend(tpm, 8, b"what the guest has measured")
    nonce, user_data, public_key = os.urandom(256), b"data", os.urandom(550)
    response = attest(tpm, key, attestation(nonce=nonce, user_data=user_data,
                                            public_key=public_key))
    document = first_item(response)["Attestation"]["document"]
    root = card.ctl("attest", "root")
    fields = verify_document.verify(document, verify_document.x509.load_pem_x509_certificate(
        root), nonce=nonce)
    assert fields["module_id"] == f"{INSTANCE}-tpm0000000000000000"
    assert fields["user_data"] == user_data and fields["public_key"] == public_key
    assert "pcrs" not in fields
    # 0 to 16 and 23, as the TPM has them.
    theirs = [bytes.fromhex(one) for one in
              json.loads(card.ctl("--json", "tpm", "status"))["pcrs_sha384"]]
    assert fields["nitrotpm_pcrs"] == {n: theirs[n] for n in [*range(17), 23]}
    digest = hashlib.sha384(b"what the guest has measured").digest()
    assert theirs[8] == hashlib.sha384(bytes(48) + digest).digest()
    assert verifier.result(document, root, "--nitrotpm", "--pcr", f"8={theirs[8].hex()}",
                           "--nonce", nonce.hex()) == "good"
    assert verifier.result(document, root, "--nitrotpm", "--pcr", "8=" + "00" * 48) == "pcr"
    # Behind the response there is nothing of the request.
    assert not response[len(cbor2.dumps(first_item(response))):].strip(b"\0")


def recipient(tpm, key, public_key):
    response = attest(tpm, key, attestation(public_key=public_key))
    document = first_item(response)["Attestation"]["document"]
    return {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
            "AttestationDocument": test_kms.text(document)}


def test_a_key_is_released_by_the_tpms_registers(card, tpm, key, tmp_path):
    """kms:RecipientAttestation:NitroTPMPCR<n>, with a card's own document."""
    extend(tpm, 9, b"the right kernel")
    value = json.loads(card.ctl("--json", "tpm", "status"))["pcrs_sha384"][9]
    private, root = tmp_path / "key.pem", tmp_path / "root.pem"
    root.write_bytes(card.ctl("attest", "root"))
    test_kms.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt",
                     "rsa_keygen_bits:2048", "-out", private)
    public = test_kms.openssl("pkey", "-in", private, "-pubout", "-outform", "DER")
    kms = test_kms.Kms(tmp_path, root, [
        test_kms.statement("kms:Encrypt"),
        test_kms.statement("kms:Decrypt", **test_kms.pcr0(value, "NitroTPMPCR9"))])
    sealed = kms.done("Encrypt", KeyId=test_kms.KEY_ID,
                      Plaintext=test_kms.text(b"a disk's key"))["CiphertextBlob"]
    answer = kms.done("Decrypt", CiphertextBlob=sealed,
                      Recipient=recipient(tpm, key, public))
    opened = test_kms.openssl("cms", "-decrypt", "-inform", "DER", "-inkey", private,
                              data=test_kms.base64.b64decode(
                                  answer["CiphertextForRecipient"]))
    assert opened == b"a disk's key"
    extend(tpm, 9, b"and another one")
    refusal, _ = kms.refused("Decrypt", CiphertextBlob=sealed,
                             Recipient=recipient(tpm, key, public))
    assert refusal == "AccessDeniedException"
    kms.end()


def test_documents_follow_the_registers(tpm, buffer):
    index = buffer(8192)
    seen = []
    for text in (b"one", b"two"):
        extend(tpm, 16, text)
        document = ask(tpm, index, attestation())["Attestation"]["document"]
        fields = cbor2.loads(cbor2.loads(document)[2])
        assert fields["nonce"] is None
        seen.append(fields["nitrotpm_pcrs"][16])
    first = hashlib.sha384(bytes(48) + hashlib.sha384(b"one").digest()).digest()
    assert seen == [first,
                    hashlib.sha384(first + hashlib.sha384(b"two").digest()).digest()]


@pytest.mark.parametrize("request_, error", [
    (b"\xff\xff", "InvalidOperation"),
    (bytes(64), "InvalidOperation"),
    (cbor2.dumps("GetRandom"), "InvalidOperation"),
    (cbor2.dumps({"ExtendPCR": {"index": 0, "data": b"x"}}), "InvalidOperation"),
    (attestation(nonce=1), "InvalidArgument"),
    (attestation(public_key=b""), "InvalidArgument"),
    (attestation(user_data=bytes(1025)), "InputTooLarge"),
], ids=["no-cbor", "number", "other", "map", "kind", "empty-key", "large"])
def test_a_bad_request_is_answered_by_an_error(tpm, buffer, request_, error):
    assert ask(tpm, buffer(8192), request_) == {"Error": error}


def test_an_index_that_is_too_small_says_so(tpm, buffer):
    assert ask(tpm, buffer(2048), attestation()) == {"Error": "BufferTooSmall"}
    tiny = buffer(16)
    with pytest.raises(TpmError, match="0x146"):           # TPM_RC_NV_RANGE
        ask(tpm, tiny, b"\x69GetRandom")


def refused(code, tpm, index, session):
    with pytest.raises(TpmError) as refusal:
        tpm.nsm_request(index, session)
    assert refusal.value.code == code, refusal.value


def test_only_who_may_read_and_write_the_index_may_ask(tpm, buffer, key):
    index = buffer(8192)
    refused(0x14a, tpm, index, Password(b"pass"))          # TPM_RC_NV_UNINITIALIZED
    tpm.write(index, attestation(), Password(b"pass"))
    refused(0x9a2, tpm, index, Password(b"word"))          # TPM_RC_BAD_AUTH
    session = Session(tpm, *key, False).using(b"pass")
    session.forge = True
    refused(0x9a2, tpm, index, session)
    session.forge = False
    tpm.nsm_request(index, session)
    # What authorised it cannot be sent again.
    session.nonce = bytes(64)
    refused(0x9a2, tpm, index, session)
    tpm.flush(session.handle)


def write_as_owner(tpm, index, data):
    owner = struct.pack(">I", tpm_client.OWNER)
    tpm.authorised(0x137, [tpm_client.OWNER, index], [owner, tpm.read_public(index)[1]],
                   tpm_client.sized(data) + bytes(2), Password())


@pytest.mark.parametrize("rights, code", [
    (AUTH_READ | OWNER_WRITE, 0x149),                      # TPM_RC_NV_AUTHORIZATION
    (AUTH_READ | OWNER_WRITE | POLICY_READ | POLICY_WRITE, 0x149),
    (AUTH_WRITE | OWNER_READ | OWNER_WRITE, 0x12f),        # TPM_RC_AUTH_UNAVAILABLE
    (OWNER_READ | OWNER_WRITE, 0x12f),
])
def test_one_right_is_not_enough(tpm, buffer, rights, code):
    index = buffer(8192, rights | NO_DA)
    write_as_owner(tpm, index, attestation())
    before = tpm.read(index, Password(b"pass")) if rights & AUTH_READ else None
    refused(code, tpm, index, Password(b"pass"))
    assert before is None or tpm.read(index, Password(b"pass")) == before


def ask_as_owner(tpm, index):
    owner = struct.pack(">I", tpm_client.OWNER)
    tpm.authorised(tpm_client.NSM_REQUEST, [tpm_client.OWNER, index],
                   [owner, tpm.read_public(index)[1]], b"", Password())


@pytest.mark.parametrize("rights, is_good", [
    (OWNER_READ | OWNER_WRITE, True),
    (AUTH_READ | OWNER_WRITE, False),
    (OWNER_READ | OWNER_WRITE | AUTH_READ, True),
])
def test_the_owner_has_rights_of_his_own(tpm, buffer, rights, is_good):
    index = buffer(8192, rights | NO_DA)
    write_as_owner(tpm, index, attestation())
    if is_good:
        ask_as_owner(tpm, index)
        return
    with pytest.raises(TpmError, match="0x149"):
        ask_as_owner(tpm, index)


@pytest.mark.parametrize("rights, is_good", [
    (POLICY_READ | POLICY_WRITE, True),
    (POLICY_READ | POLICY_WRITE | AUTH_READ, True),
    (POLICY_READ | AUTH_READ | AUTH_WRITE, False),
])
def test_a_policy_has_rights_of_its_own(tpm, rights, is_good):
    tpm.define(INDEX, 8192, b"pass", rights | OWNER_WRITE | NO_DA, Password(),
               PasswordPolicy.DIGEST)
    write_as_owner(tpm, INDEX, attestation())
    policy = PasswordPolicy(tpm, b"pass")
    if is_good:
        tpm.nsm_request(INDEX, policy)
    else:
        refused(0x149, tpm, INDEX, policy)
    tpm.flush(policy.handle)
    tpm.undefine(INDEX)


def test_without_authorisation_or_with_parameters_it_is_refused(tpm, buffer):
    index = buffer(8192)
    tpm.write(index, attestation(), Password(b"pass"))
    handles = struct.pack(">II", index, index)
    with pytest.raises(TpmError, match="0x125"):           # TPM_RC_AUTH_MISSING
        tpm.run(tpm_client.NSM_REQUEST, handles)
    with pytest.raises(TpmError, match="0x95"):            # TPM_RC_SIZE
        tpm.authorised(tpm_client.NSM_REQUEST, [index, index], [], b"more",
                       Password(b"pass"))
    with pytest.raises(TpmError, match="0x143"):           # another vendor's
        tpm.run(tpm_client.NSM_REQUEST + 1, handles)


def test_the_command_whose_shape_it_has_is_still_there(tpm, buffer):
    """TPM2_NV_ReadLock, of an index that can be locked."""
    index = buffer(64, BOTH | READ_STCLEAR)
    tpm.write(index, b"x", Password(b"pass"))
    tpm.authorised(0x14f, [index, index], [], b"", Password(b"pass"))
    with pytest.raises(TpmError, match="0x148"):           # TPM_RC_NV_LOCKED
        tpm.read(index, Password(b"pass"))
    refused(0x148, tpm, index, Password(b"pass"))


def test_the_tpm_says_what_it_can_do(tpm):
    count, = struct.unpack_from(">I", tpm.capability(6, 0x129, 1))
    assert count == 1

    def property_of(number):
        _, found, value = struct.unpack(">III", tpm.capability(6, number, 1))
        assert found == number
        return value

    assert property_of(0x117) == 8192                      # NV_INDEX_MAX
    assert property_of(0x12b) == 1                         # VENDOR_COMMANDS
    total = property_of(0x129)
    assert total == property_of(0x12a) + 1
    # As Linux's driver asks for them: all, and exactly as many.
    commands = struct.unpack(">" + "I" * (1 + total), tpm.capability(2, 0x11f, total))
    assert commands[0] == total and commands[-1] == 0x24400001
    one = struct.unpack(">II", tpm.capability(2, tpm_client.NSM_REQUEST, 1))
    assert one == (1, 0x24400001)


def test_a_wide_index_is_as_good_as_any_and_outlives_the_card(card):
    tpm = Tpm(card.sockets / "tpm0.tpm")
    tpm.define(INDEX, 8192, b"pass", BOTH, Password())
    data = os.urandom(8192)
    tpm.write(INDEX, data, Password(b"pass"))
    for size in (8193, 65535):
        with pytest.raises(TpmError, match="0x2d5"):       # TPM_RC_SIZE
            tpm.define(INDEX + 1, size, b"", BOTH, Password())
    tpm.close()
    for _ in range(2):
        card.stop()
        card.start()
        tpm = Tpm(card.sockets / "tpm0.tpm")
        assert tpm.read_public(INDEX)[0] == 8192
        assert tpm.read(INDEX, Password(b"pass")) == data
        tpm.close()
    tpm = Tpm(card.sockets / "tpm0.tpm")
    tpm.undefine(INDEX)
    tpm.close()
