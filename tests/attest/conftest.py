# SPDX-License-Identifier: BSD-3-Clause
"""Documents of an installation that is made for the tests."""
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
