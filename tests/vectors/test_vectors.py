"""The committed vectors: every bundle gives the files or the error that its entry names."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from modelkeep import errors
from modelkeep.bundle.access import Access, unlock_bundle
from modelkeep.bundle.bundle import UnlockedBundle
from modelkeep.manifest import Suite
from modelkeep.payload.cipher import StreamCipher
from modelkeep.payload.layout import HEADER, SEGMENT, TAG
from support.vectors import identity_of, verifier_of

FOLDER = Path(__file__).parents[2] / "vectors" / "v1"
INDEX = json.loads((FOLDER / "index.json").read_text())


def check_content(opened: UnlockedBundle, vector: dict[str, Any]) -> None:
    inner = opened.inner_manifest()
    assert json.loads(inner.to_bytes()).get("inputs") == vector["inputs"]
    assert (inner.golden is not None) == (vector["name"] == "golden")
    assert opened.grant.device_id == vector["device_id"]
    files = dict(inner.model_files())
    assert set(files.values()) == set(vector["files"])
    for index, path in files.items():
        expected = vector["files"][path]
        content = bytearray(expected["size"])
        opened.decrypt(index, memoryview(content))
        assert hashlib.sha256(content).hexdigest() == expected["sha256"]


@pytest.mark.parametrize("vector", INDEX["bundles"], ids=lambda vector: str(vector["name"]))
def test_bundle(vector: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt() -> None:
        access = Access(
            identity_of(vector, tmp_path, monkeypatch),
            verifier_of(vector),
            FOLDER / vector["grants"] if "grants" in vector else None,
        )
        with unlock_bundle(FOLDER / vector["bundle"], access) as opened:
            opened.verified.check_digests()
            check_content(opened, vector)

    if vector["error"] is None:
        attempt()
        return
    # The class is exact: a vector names what the reader must say, not a family of it.
    with pytest.raises(errors.KeepError) as caught:
        attempt()
    assert type(caught.value).__name__ == vector["error"]


@pytest.mark.parametrize("vector", INDEX["streams"], ids=lambda vector: str(vector["file"]))
def test_stream(vector: dict[str, Any]) -> None:
    data = (FOLDER / vector["file"]).read_bytes()[vector["offset"] :][: vector["length"]]
    key = memoryview(bytes.fromhex(vector["key"]))
    associated = bytes.fromhex(vector["associated_data"])
    cipher = StreamCipher(Suite[vector["suite"]], key, associated, data[:HEADER])
    segments = [data[start : start + SEGMENT] for start in range(0, len(data), SEGMENT)]
    plain = bytearray()
    for index, segment in enumerate(segments):
        sealed = memoryview(segment)[HEADER if index == 0 else 0 :]
        piece = bytearray(len(sealed) - TAG)
        cipher.decrypt(index, index == len(segments) - 1, sealed, memoryview(piece))
        plain += piece
    assert hashlib.sha256(plain).hexdigest() == vector["plaintext"]
