"""The committed vectors of certificate chains."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from modelkeep import errors
from modelkeep.trust.certificate_roots import CertificateRoots

CHAINS = json.loads((Path(__file__).parents[2] / "vectors" / "v1" / "chains.json").read_text())["chains"]


@pytest.mark.parametrize("vector", CHAINS, ids=lambda vector: vector["name"])
def test_chains_are_judged_as_written(vector: dict[str, Any]) -> None:
    roots = CertificateRoots(
        vector["roots"].encode(),
        subject=vector["subject"],
        revoked_serials=frozenset(map(int, vector["revoked_serials"])),
        revoked_keys=vector["revoked_keys"],
    )
    chain = [x509.load_der_x509_certificate(base64.b64decode(item)) for item in vector["chain"]]
    if vector["error"] is None:
        assert roots.check(chain, vector["now"]).to_json() == vector["signer"]
        return
    kind: type[errors.KeepError] = getattr(errors, vector["error"])
    with pytest.raises(kind, check=lambda error: type(error) is kind):
        roots.check(chain, vector["now"])
