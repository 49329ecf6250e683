"""Who opens a vector, and whom they trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelkeep.keys.identity import Identity
from modelkeep.trust.certificate_roots import CertificateRoots
from modelkeep.trust.verifier import Verifier


def identity_of(vector: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Identity:
    kind, secret = next(iter(vector["identity"].items()))
    if kind == "passphrase":
        monkeypatch.setenv("VECTOR_PASSPHRASE", secret)
        return Identity("passphrase:?env=VECTOR_PASSPHRASE")
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_text(secret)
    return Identity(f"fleet:{key}" if kind == "fleet" else f"file:{key}")


def verifier_of(vector: dict[str, Any]) -> Verifier:
    pem = vector["trusted"].encode()
    trusted = CertificateRoots(pem) if b"CERTIFICATE" in pem else pem
    return Verifier(
        trusted,
        model=vector["model"],
        minimum_epoch=vector["minimum_epoch"],
        clock=lambda: float(vector["now"]),
    )
