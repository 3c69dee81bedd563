# SPDX-License-Identifier: BSD-3-Clause
"""A running card's security module, without a guest: what nitroctl makes wrong
with its documents is refused by both verifiers, each way for its own reason."""
import json
import os
import subprocess
import time

import cbor2
import pytest
from conftest import BUILD
from cryptography import x509
from reasons import REASONS, bits
from test_verifiers import opinion


class Card:
    def __init__(self, folder):
        self.folder = folder
        config = folder / "card.json"
        config.write_text(json.dumps({"card": {"name": "module"}, "functions": [
            {"nsm": {"name": "nsm0"}}]}))
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            [BUILD / "nitro-card", "--socket-dir", folder / "sockets", config],
            stdout=self.log, stderr=self.log, cwd=folder,
            env=os.environ | {"STATE_DIRECTORY": str(folder / "state")})
        while b"control on" not in (folder / "log").read_bytes():
            assert self.process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)

    def ctl(self, *words):
        return subprocess.run(
            [BUILD / "nitroctl", "--socket-dir", self.folder / "sockets", *words],
            check=True, capture_output=True, timeout=60).stdout

    def document(self):
        request = {"Attestation": {"user_data": None, "nonce": b"once",
                                   "public_key": None}}
        answer = subprocess.run(
            [BUILD / "nsm-call", self.folder / "sockets/nsm0.sock"], check=True,
            input=cbor2.dumps(request), capture_output=True, timeout=60).stdout
        return cbor2.loads(answer)["Attestation"]["document"]

    def end(self):
        self.process.terminate()
        assert self.process.wait(60) == 0
        self.log.close()


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    card = Card(tmp_path_factory.mktemp("card"))
    yield card
    card.end()


def both(card, verifier):
    document, pem = card.document(), card.ctl("attest", "root")
    return (verifier.result(document, pem),
            opinion(document, x509.load_pem_x509_certificate(pem)))


@pytest.mark.parametrize("fault", REASONS)
def test_each_way_of_tampering_is_refused_for_its_own_reason(card, verifier, fault):
    card.ctl("faults", "set", "nsm0", "document", f"--value={bits()[fault]}",
             "--limit=1")
    assert both(card, verifier) == (REASONS[fault],) * 2
    assert both(card, verifier) == ("good", "good")
