# SPDX-License-Identifier: BSD-3-Clause
"""nitro-kms releases keys by policy to whom a document speaks for, sealed so
that only the document's key opens them; `openssl cms` is the receiver."""
import base64
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest
from conftest import BUILD
from reasons import REASONS

PCR0 = "5a" * 48
KEY_ID = "arn:aws:kms:us-east-1:000000000000:key/" \
         "00000000-0000-0000-0000-000000000000"


def statement(action, effect="Allow", **condition):
    words = {"Effect": effect, "Principal": "*", "Action": action,
             "Resource": "*"}
    if condition:
        words["Condition"] = condition
    return words


def pcr0(value=PCR0, key="PCR0", operator="StringEqualsIgnoreCase"):
    return {operator: {f"kms:RecipientAttestation:{key}": value}}


POLICY = [statement(["kms:Encrypt", "kms:GenerateRandom"]),
          statement(["kms:Decrypt", "kms:GenerateData*"], **pcr0())]


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)        # it may wait for its turn
        self.sock.settimeout(30)


class Kms:
    """The program, as its clients meet it."""

    def __init__(self, folder, root, statements, *words):
        self.folder = folder
        self.path = str(folder / "kms.sock")
        policy = folder / "policy.json"
        policy.write_text(json.dumps({"Version": "2012-10-17",
                                      "Statement": statements}))
        self.log = open(folder / "log", "ab")
        self.process = subprocess.Popen(
            [BUILD / "nitro-kms", "--root", root, "--policy", policy, "--key",
             folder / "key", "--socket", self.path, *words],
            stdout=subprocess.PIPE, stderr=self.log, cwd=folder)
        assert self.process.stdout.readline().strip() == self.path.encode()

    def post(self, body, target, method="POST", path="/"):
        connection = UnixConnection(self.path)
        connection.request(method, path, body, {
            "X-Amz-Target": target,
            "Content-Type": "application/x-amz-json-1.1"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def call(self, operation, **request):
        return self.post(json.dumps(request), f"TrentService.{operation}")

    def done(self, operation, **request):
        status, answer = self.call(operation, **request)
        assert status == 200, answer
        return answer

    def refused(self, operation, **request):
        status, answer = self.call(operation, **request)
        assert status == 400
        assert set(answer) == {"__type", "message"}
        return answer["__type"], answer["message"]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        self.process.stdout.close()
        self.log.close()


def text(data):
    return base64.b64encode(data).decode()


@pytest.fixture
def start(installation, tmp_path):
    running = []

    def start_kms(statements=None, *words):
        kms = Kms(tmp_path, installation.root_file, statements or POLICY, *words)
        running.append(kms)
        return kms
    yield start_kms
    for kms in running:
        kms.end()


@pytest.fixture(scope="session")
def enclave(installation, tmp_path_factory):
    """An RSA key, and documents that speak for it."""
    return Enclave(installation, tmp_path_factory.mktemp("enclave"))


class Enclave:
    def __init__(self, installation, folder, bits=2048):
        self.installation = installation
        self.key, self.public = folder / "key.pem", folder / "public.der"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt",
                f"rsa_keygen_bits:{bits}", "-out", self.key)
        openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER", "-out",
                self.public)

    def recipient(self, *words, pcr=PCR0, key=None):
        document = self.installation.document(
            "--pcr", f"0={pcr}", "--public-key", key or self.public, *words)
        return {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                "AttestationDocument": text(document)}

    def open(self, envelope):
        return openssl("cms", "-decrypt", "-inform", "DER", "-inkey", self.key,
                       data=base64.b64decode(envelope))


def openssl(*words, data=None):
    return subprocess.run(["openssl", *map(str, words)], input=data, check=True,
                          capture_output=True, timeout=60).stdout


def encrypted(kms, secret=b"the secret", **more):
    return kms.done("Encrypt", KeyId=KEY_ID, Plaintext=text(secret),
                    **more)["CiphertextBlob"]


def test_decrypt_is_for_the_documents_key_alone(start, enclave):
    kms = start()
    answer = kms.done("Decrypt", CiphertextBlob=encrypted(kms),
                      Recipient=enclave.recipient())
    assert set(answer) == {"KeyId", "EncryptionAlgorithm",
                           "CiphertextForRecipient"}
    assert answer["KeyId"] == KEY_ID
    assert enclave.open(answer["CiphertextForRecipient"]) == b"the secret"


# RFC 5652's ASN.1, as answers of the real service have it: depth, length if it
# is told, and what stands there.
SHAPE = """
0 inf SEQUENCE
1 9 OBJECT :pkcs7-envelopedData
1 inf cont [ 0 ]
2 inf SEQUENCE
3 1 INTEGER :02
3 363 SET
4 359 SEQUENCE
5 1 INTEGER :02
5 32 cont [ 0 ]
5 60 SEQUENCE
6 9 OBJECT :rsaesOaep
6 47 SEQUENCE
7 15 cont [ 0 ]
8 13 SEQUENCE
9 9 OBJECT :sha256
9 0 NULL
7 28 cont [ 1 ]
8 26 SEQUENCE
9 9 OBJECT :mgf1
9 13 SEQUENCE
10 9 OBJECT :sha256
10 0 NULL
5 256 OCTET STRING
3 inf SEQUENCE
4 9 OBJECT :pkcs7-data
4 29 SEQUENCE
5 9 OBJECT :aes-256-cbc
5 16 OCTET STRING
4 inf cont [ 0 ]
5 48 OCTET STRING
5 0 EOC
4 0 EOC
3 0 EOC
2 0 EOC
1 0 EOC
""".strip().splitlines()


def shape(envelope):
    lines = []
    for line in openssl("asn1parse", "-inform", "DER", data=envelope).decode() \
            .splitlines():
        depth, length, kind, value = re.fullmatch(
            r" *\d+:d=(\d+) +hl=\d+ l= *(\w+) +(?:cons|prim): ([^:]*?) *(:.*|\[HEX.*)?",
            line).groups()
        value = "" if not value or value.startswith("[HEX") else f" {value}"
        lines.append(f"{depth} {length} {kind}{value}")
    return lines


def test_the_envelope_is_what_the_real_service_sends(start, enclave):
    kms = start()
    answer = kms.done("GenerateDataKey", KeyId=KEY_ID, KeySpec="AES_256",
                      Recipient=enclave.recipient())
    envelope = base64.b64decode(answer["CiphertextForRecipient"])
    assert shape(envelope) == SHAPE
    # The recipient is called by the SHA-256 of the key that it has sent.
    assert envelope[33:65] == hashlib.sha256(enclave.public.read_bytes()).digest()
    assert len(enclave.open(answer["CiphertextForRecipient"])) == 32


def test_a_key_of_4096_bits_and_a_long_secret_are_sealed_as_well(start, installation,
                                                                 tmp_path):
    enclave = Enclave(installation, tmp_path, 4096)
    kms, secret = start(), os.urandom(4096)
    answer = kms.done("Decrypt", CiphertextBlob=encrypted(kms, secret),
                      Recipient=enclave.recipient())
    assert enclave.open(answer["CiphertextForRecipient"]) == secret


def test_a_data_key_is_the_same_in_both_of_its_forms(start, enclave):
    kms = start()
    for request, size in (({"KeySpec": "AES_256"}, 32),
                          ({"KeySpec": "AES_128"}, 16),
                          ({"NumberOfBytes": 100}, 100)):
        made = kms.done("GenerateDataKey", KeyId=KEY_ID,
                        Recipient=enclave.recipient(), **request)
        assert "Plaintext" not in made
        key = enclave.open(made["CiphertextForRecipient"])
        assert len(key) == size
        again = kms.done("Decrypt", CiphertextBlob=made["CiphertextBlob"],
                         Recipient=enclave.recipient())
        assert enclave.open(again["CiphertextForRecipient"]) == key


def test_without_a_document_a_condition_does_not_hold(start):
    kms = start()
    kind, why = kms.refused("Decrypt", CiphertextBlob=encrypted(kms))
    assert kind == "AccessDeniedException"
    assert "kms:RecipientAttestation:PCR0 is asked for, and there is no" in why


@pytest.mark.parametrize("condition, pcr, is_allowed", [
    (pcr0(), PCR0, True),
    (pcr0(PCR0.upper()), PCR0, True),
    (pcr0(PCR0.upper(), operator="StringEquals"), PCR0, False),
    (pcr0(operator="StringEquals"), PCR0, True),
    (pcr0(key="ImageSha384"), PCR0, True),
    (pcr0(key="ImageSha384"), "5b" * 48, False),
    (pcr0(["11" * 48, PCR0]), PCR0, True),
    (pcr0(["11" * 48]), PCR0, False),
    (pcr0("5a" * 47), PCR0, False),
    (pcr0("00" * 48, key="PCR4"), PCR0, True),
    (pcr0("00" * 48, key="PCR16"), PCR0, False),         # not locked
    (pcr0(key="NitroTPMPCR0"), PCR0, False),             # not of a TPM
    ({"StringEquals": {"kms:RecipientAttestation:PCR0": PCR0,
                       "kms:RecipientAttestation:PCR1": "11" * 48}}, PCR0, False),
])
def test_conditions_are_on_registers(start, enclave, condition, pcr, is_allowed):
    kms = start([statement("kms:Encrypt"), statement("kms:Decrypt", **condition)])
    status, answer = kms.call("Decrypt", CiphertextBlob=encrypted(kms),
                              Recipient=enclave.recipient(pcr=pcr))
    if is_allowed:
        assert enclave.open(answer["CiphertextForRecipient"]) == b"the secret"
    else:
        assert (status, answer["__type"]) == (400, "AccessDeniedException")


def test_what_is_denied_is_not_allowed_by_another_statement(start, enclave):
    kms = start([statement("kms:*"), statement("kms:Decrypt", "Deny", **pcr0())])
    blob = encrypted(kms)
    kind, why = kms.refused("Decrypt", CiphertextBlob=blob,
                            Recipient=enclave.recipient())
    assert (kind, why) == ("AccessDeniedException",
                           "a statement of the policy denies kms:Decrypt")
    answer = kms.done("Decrypt", CiphertextBlob=blob,
                      Recipient=enclave.recipient(pcr="11" * 48))
    assert enclave.open(answer["CiphertextForRecipient"]) == b"the secret"


def test_a_wrong_document_gets_nothing_and_hears_why(start, enclave):
    kms = start()
    blob = encrypted(kms)
    reasons = set()
    for fault in REASONS:
        kind, why = kms.refused("Decrypt", CiphertextBlob=blob,
                                Recipient=enclave.recipient("--fault", fault))
        assert kind == "ValidationException"
        assert why.startswith("the attestation document is refused: ")
        reasons.add(why.split("[")[0])
    assert len(reasons) == len(REASONS)


def test_another_installations_document_gets_nothing(start, another, enclave):
    kms = start()
    kind, _ = kms.refused(
        "Decrypt", CiphertextBlob=encrypted(kms),
        Recipient=Enclave.recipient(
            type("Stranger", (), {"installation": another,
                                  "public": enclave.public})))
    assert kind == "ValidationException"


def test_the_clock_can_be_set(start, enclave):
    kms = start(None, "--clock-offset=-8640000")
    blob = encrypted(kms)
    kms.refused("Decrypt", CiphertextBlob=blob, Recipient=enclave.recipient())
    kms.done("Decrypt", CiphertextBlob=blob,
             Recipient=enclave.recipient("--offset=-8640000"))


def test_a_document_needs_an_rsa_key(start, enclave, tmp_path):
    kms = start()
    short, curve, torn = (tmp_path / name for name in ("short", "curve", "torn"))
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024",
            "-out", short)
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-out", curve)
    for key in (short, curve):
        key.write_bytes(openssl("pkey", "-in", key, "-pubout", "-outform", "DER"))
    torn.write_bytes(enclave.public.read_bytes() + b"\0")
    for key in (short, curve, torn):
        kind, why = kms.refused("Decrypt", CiphertextBlob=encrypted(kms),
                                Recipient=enclave.recipient(key=key))
        assert kind == "ValidationException" and "RSA key" in why


def test_a_blob_is_bound_to_its_context_and_key(start, enclave):
    kms = start()
    blob = encrypted(kms, EncryptionContext={"a": "1", "b": "2"})
    recipient = enclave.recipient()
    kms.done("Decrypt", CiphertextBlob=blob, Recipient=recipient,
             EncryptionContext={"b": "2", "a": "1"})
    for context in ({}, {"a": "1"}, {"a": "1", "b": "3"}):
        kind, _ = kms.refused("Decrypt", CiphertextBlob=blob,
                              Recipient=recipient, EncryptionContext=context)
        assert kind == "InvalidCiphertextException"
    data = bytearray(base64.b64decode(blob))
    for at in (0, 8, 20, len(data) - 1):
        data[at] ^= 1
        kind, _ = kms.refused("Decrypt", CiphertextBlob=text(data),
                              Recipient=recipient)
        assert kind == "InvalidCiphertextException"
        data[at] ^= 1


@pytest.mark.parametrize("context", [["a"], "a", 1, None, {"a": 1}, {"a": {}},
                                     {"a": None}])
def test_what_is_no_context_binds_nothing(start, context):
    kms = start([statement("kms:*")])
    for operation, more in (("Encrypt", {"Plaintext": "AAAA"}),
                            ("Decrypt", {"CiphertextBlob": encrypted(kms)}),
                            ("GenerateDataKey", {"KeySpec": "AES_256"})):
        kind, why = kms.refused(operation, KeyId=KEY_ID, EncryptionContext=context,
                                **more)
        assert (kind, why) == ("ValidationException",
                               "EncryptionContext is an object of texts")


def test_a_key_is_kept_and_for_its_user_alone(start, enclave):
    kms = start()
    blob = encrypted(kms)
    kms.end()
    assert os.stat(kms.folder / "key").st_mode & 0o777 == 0o600
    kms.__init__(kms.folder, enclave.installation.root_file, POLICY)
    answer = kms.done("Decrypt", CiphertextBlob=blob,
                      Recipient=enclave.recipient())
    assert enclave.open(answer["CiphertextForRecipient"]) == b"the secret"


def test_random_bytes_come_both_ways(start, enclave):
    kms = start()
    plain = kms.done("GenerateRandom", NumberOfBytes=64)["Plaintext"]
    assert len(base64.b64decode(plain)) == 64
    sealed = kms.done("GenerateRandom", NumberOfBytes=64,
                      Recipient=enclave.recipient())
    assert len(enclave.open(sealed["CiphertextForRecipient"])) == 64


@pytest.mark.parametrize("operation, request_, kind", [
    ("Decrypt", {}, "ValidationException"),
    ("Decrypt", {"CiphertextBlob": "!!!!"}, "ValidationException"),
    ("Decrypt", {"CiphertextBlob": "AAA"}, "ValidationException"),
    ("Decrypt", {"CiphertextBlob": "AAAA"}, "InvalidCiphertextException"),
    ("Decrypt", {"CiphertextBlob": 7}, "ValidationException"),
    ("Decrypt", {"Recipient": {}}, "ValidationException"),
    ("Decrypt", {"Recipient": "x"}, "ValidationException"),
    ("Decrypt", {"Recipient": {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                               "AttestationDocument": ""}}, "ValidationException"),
    ("Decrypt", {"KeyId": "another"}, "NotFoundException"),
    ("Encrypt", {"KeyId": KEY_ID, "Plaintext": ""}, "ValidationException"),
    ("Encrypt", {"Plaintext": "AAAA"}, "ValidationException"),
    ("Encrypt", {"KeyId": KEY_ID, "Plaintext": "A" * 8192}, "ValidationException"),
    ("GenerateDataKey", {"KeyId": KEY_ID}, "ValidationException"),
    ("GenerateDataKey", {"KeyId": KEY_ID, "KeySpec": "DES"}, "ValidationException"),
    ("GenerateRandom", {"NumberOfBytes": 1025}, "ValidationException"),
    ("GenerateRandom", {"NumberOfBytes": -1}, "ValidationException"),
    ("ScheduleKeyDeletion", {}, "UnknownOperationException"),
])
def test_a_clients_mistake_has_kms_own_name(start, operation, request_, kind):
    assert start([statement("kms:*")]).refused(operation, **request_)[0] == kind


def test_what_is_no_request_is_refused_and_the_service_lives(start):
    kms = start()
    decrypt = "TrentService.Decrypt"
    for body, target, kind in (
            (b"", decrypt, "SerializationException"),
            (b"[]", decrypt, "SerializationException"),
            (b"{" * 60000, decrypt, "SerializationException"),
            (b" " * 70000, decrypt, "SerializationException"),
            (b'{"a":1,"a":2}', decrypt, "SerializationException"),
            (b"{}", "", "UnknownOperationException"),
            (b"{}", "TrentService.\x1b[2J", "UnknownOperationException")):
        status, answer = kms.post(body, target)
        assert (status, answer["__type"]) == (400, kind)
    assert kms.post(b"", decrypt, "GET")[0] == 404
    assert kms.post(b"{}", decrypt, path="/keys")[0] == 404
    encrypted(kms)


def connected(kms):
    client = socket.socket(socket.AF_UNIX)
    client.connect(kms.path)
    return client


def has_ended(client):
    """After one more byte, and some time, by the other side."""
    client.settimeout(0.2)
    try:
        client.sendall(b"x")
        return client.recv(1) == b""
    except (BrokenPipeError, ConnectionResetError):
        return True
    except TimeoutError:
        return False


HEAD = (b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: TrentService.Decrypt\r\n"
        b"Content-Length: 60000\r\n")


def test_who_sends_slowly_is_disconnected(start):
    """However often a byte comes, in a request's head or its body."""
    kms = start()
    began = time.monotonic()
    slow = [connected(kms) for _ in range(3)]
    for client, beginning in zip(slow, (b"", HEAD, HEAD + b"\r\n")):
        client.sendall(beginning)
    while slow and time.monotonic() < began + 90:
        for client in slow[:]:
            if has_ended(client):
                slow.remove(client)
                client.close()
                assert time.monotonic() > began + 9
    assert not slow
    encrypted(kms)


def test_who_is_quick_may_stay(start):
    """Ten seconds are for a request, not for a connection."""
    connection = UnixConnection(start().path)
    connection.connect()
    first = connection.sock
    for _ in range(4):
        connection.request("POST", "/", '{"NumberOfBytes": 8}',
                           {"X-Amz-Target": "TrentService.GenerateRandom"})
        assert connection.getresponse().read() and connection.sock is first
        time.sleep(3.5)
    connection.close()


def test_many_idle_clients_hold_up_nobody_for_long(start):
    kms = start()
    idle = [connected(kms) for _ in range(70)]
    try:
        encrypted(kms)
    finally:
        for client in idle:
            client.close()


@pytest.mark.parametrize("policy, says", [
    ("{", "policy.json:1:"),
    ("[]", "a list named Statement"),
    ('{"Statement": [{"Effect": "Permit", "Action": "kms:*"}]}',
     "Effect is Allow or Deny"),
    ('{"Statement": [{"Effect": "Allow"}]}', "Action is a text"),
    ('{"Statement": [{"Effect": "Allow", "NotAction": "x"}]}',
     "a statement has no NotAction"),
    ('{"Statement": [{"Effect": "Allow", "Action": "kms:*", "Condition": '
     '{"StringLike": {}}}]}', "not StringLike"),
    ('{"Statement": [{"Effect": "Allow", "Action": "kms:*", "Condition": '
     '{"StringEquals": {"kms:RecipientAttestation:PCR32": "00"}}}]}',
     "not kms:RecipientAttestation:PCR32"),
    ('{"Statement": [{"Effect": "Allow", "Action": "kms:*", "Condition": '
     '{"StringEquals": {"aws:SourceIp": "::1"}}}]}', "not aws:SourceIp"),
    ('{"Statement": [{"Effect": "Deny", "Action": "kms:*crypt"}]}',
     "with no star but at the end"),
    ('{"Statement": [{"Effect": "Deny", "Action": ["kms:*", "kms:Encryp?"]}]}',
     "with no star but at the end"),
    ('{"Statement": [{"Effect": "Deny", "Action": "kms:**"}]}',
     "with no star but at the end"),
])
def test_a_policy_that_is_not_understood_is_refused(installation, tmp_path, policy,
                                                    says):
    (tmp_path / "policy.json").write_text(policy)
    done = subprocess.run(
        [BUILD / "nitro-kms", "--root", installation.root_file, "--policy",
         "policy.json", "--key", "key", "--socket", "kms.sock"],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert says in done.stderr


def test_it_serves_on_a_port_of_this_machine(installation, tmp_path):
    (tmp_path / "policy.json").write_text(json.dumps({"Statement": POLICY}))
    with subprocess.Popen(
            [BUILD / "nitro-kms", "--root", installation.root_file, "--policy",
             "policy.json", "--key", "key", "--port", "0"], cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True) as process:
        port = int(process.stdout.readline().strip("/\n").split(":")[-1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/", '{"NumberOfBytes": 8}',
                           {"X-Amz-Target": "TrentService.GenerateRandom"})
        assert len(base64.b64decode(json.loads(
            connection.getresponse().read())["Plaintext"])) == 8
        process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize("words, says", [
    ([], "--root, --policy and --key are needed"),
    (["--root", "r", "--policy", "p", "--key", "k"], "either --socket or --port"),
    (["--port", "99999"], "'99999' is no number from 0 to 65535"),
    (["--key-id", "x"], "--key-id is an ARN"),
])
def test_a_users_mistake_gets_a_sentence(words, says):
    done = subprocess.run([BUILD / "nitro-kms", *words], capture_output=True,
                          text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert says in done.stderr
