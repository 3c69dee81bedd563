# SPDX-License-Identifier: BSD-3-Clause
"""Documents of an installation that is made for the tests."""
import json
import os
import pathlib
import subprocess

import pytest
from cryptography import x509

BUILD = pathlib.Path(os.environ.get("NITRO_BUILD", "build/dev")).resolve()


class Installation:
    """A state directory, and what the card's own functions make with it."""

    def __init__(self, folder):
        self.folder = folder
        self.root_file = folder / "root.pem"
        self.root_file.write_bytes(self.run("--root"))
        self.root = x509.load_pem_x509_certificate(self.root_file.read_bytes())

    def run(self, *words):
        return subprocess.run(
            [BUILD / "attest-document", self.folder / "state", *map(str, words)],
            check=True, capture_output=True, timeout=60).stdout

    def document(self, *words):
        return self.run(*words)


@pytest.fixture(scope="session")
def installation(tmp_path_factory):
    return Installation(tmp_path_factory.mktemp("installation"))


@pytest.fixture(scope="session")
def another(tmp_path_factory):
    return Installation(tmp_path_factory.mktemp("another"))


class Verifier:
    """libnitro-attest, as nitroctl shows it."""

    def __init__(self, folder):
        self.folder = folder

    def report(self, document, root, *words):
        """Exit status and what was said, as JSON gives it."""
        (self.folder / "document").write_bytes(document)
        (self.folder / "root").write_bytes(root)
        done = subprocess.run(
            [BUILD / "nitroctl", "attest", "verify", self.folder / "document",
             "--root", self.folder / "root", "--json", *map(str, words)],
            capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout)

    def result(self, document, root, *words):
        """The name of the first failure, or "good"."""
        status, report = self.report(document, root, *words)
        failed = [check["result"] for check in report["checks"]
                  if check["verdict"] == "FAILED"]
        assert report["good"] == (status == 0) == (not failed)
        assert report["result"] == (failed or ["good"])[0]
        return report["result"]


@pytest.fixture(scope="session")
def verifier(tmp_path_factory):
    return Verifier(tmp_path_factory.mktemp("verifier"))
