# SPDX-License-Identifier: BSD-3-Clause
"""Of each fault that a document can be made with (security-chip/attest/faults.def):
its bit, and why both verifiers refuse the document."""
import pathlib
import re

FAULTS = pathlib.Path(__file__).parents[2] / "security-chip/attest/faults.def"
REASONS = {
    "expired_leaf": "expired",
    "not_yet_valid": "not-yet-valid",
    "path_length": "path-length",
    "bad_signature": "signature-range",
    "bundle_order": "order",
    "missing_intermediate": "issuer-missing",
    "truncated": "truncated",
    "digest_name": "digest",
    "foreign_root": "root",
    "leaf_key": "signature-key",
    "altered_payload": "signature",
}


def bits():
    """By name: what the card's fault nsm.document takes the sum of."""
    return {name: 1 << int(bit) for bit, name in re.findall(
        r"^ATTEST_FAULT\((\d+), \w+, (\w+),", FAULTS.read_text(), re.M)}
