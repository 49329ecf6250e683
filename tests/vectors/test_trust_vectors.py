"""The committed vectors of trust files, roots, tickets, timestamps and times."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelkeep import errors
from modelkeep.clock import Clock
from modelkeep.errors import KeepError
from modelkeep.signer_id import SignerId
from modelkeep.trust import certificates, timestamps
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.release import Release
from modelkeep.trust.roots import Roots
from modelkeep.trust.ticket import Ticket
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from support.manifests import PLAIN

INDEX = json.loads((Path(__file__).parents[2] / "vectors" / "v1" / "trust" / "index.json").read_text())

Vector = dict[str, Any]


def named(vector: Vector) -> str:
    return str(vector["name"])


def raises(vector: Vector) -> Any:
    """Expects the error that a vector names: exactly that class."""
    kind: type[KeepError] = getattr(errors, vector["error"])
    return pytest.raises(kind, check=lambda error: type(error) is kind)


def read(vector: Vector) -> TrustFile:
    if "document" in vector:
        roots = Roots.of_document(vector["document"].encode())
    else:
        roots = Roots.of_keys([pem.encode() for pem in vector["roots"]], vector["threshold"])
    return TrustFile.from_bytes(vector["file"].encode(), roots, minimum=vector["minimum"])


def first() -> Verifier:
    return Verifier.from_trust_file(read(INDEX["trust_files"][0]), model=UnsafeAnyModel(), clock=lambda: 0)


@pytest.mark.parametrize("vector", INDEX["trust_files"], ids=named)
def test_trust_file(vector: Vector) -> None:
    if vector["error"] is not None:
        with raises(vector):
            read(vector)
        return
    trust = read(vector)
    assert trust.number == 7
    assert trust.roots is not None
    if "document_number" in vector:
        assert trust.roots.newest is not None
        assert trust.roots.newest.number == vector["document_number"]


def test_what_the_first_trust_file_says() -> None:
    trust = read(INDEX["trust_files"][0])
    assert [publisher.models for publisher in trust.publishers] == [
        ("acme/*",),
        ("audio/steps",),
        ("*",),
        ("voice/*",),
    ]
    assert trust.floors == {"acme/detector": (3, 1_799_999_500)}
    assert first().floor("acme/detector") == (3, 1_799_999_500)
    assert first().void == {bytes.fromhex("0b" * 16)}


@pytest.mark.parametrize("vector", INDEX["releases"], ids=named)
def test_release(vector: Vector) -> None:
    manifest = replace(
        PLAIN,
        model=vector["model"],
        family=vector["family"],
        sealed_at=vector["sealed_at"],
        bundle=bytes.fromhex(vector["bundle"]),
    )
    release = Release(manifest, SignerId(bytes.fromhex(vector["key"])), vector["now"])
    if vector["error"] is None:
        first().accept(release)
        return
    with raises(vector):
        first().accept(release)


@pytest.mark.parametrize("vector", INDEX["signers"])
def test_whose_word_counts(vector: Vector) -> None:
    assert first().vouches(vector["model"], SignerId.from_json(vector["signer"])) is vector["vouches"]


@pytest.mark.parametrize("vector", INDEX["tickets"], ids=named)
def test_ticket(vector: Vector) -> None:
    data = vector["file"].encode()
    if vector["error"] is not None:
        with raises(vector):
            first().verify_ticket(data)
        return
    verified = first().verify_ticket(data)
    assert len(verified.signers) == 2
    assert verified.ticket.generation == bytes(range(16))
    assert Ticket.from_bytes(verified.ticket.to_bytes()) == verified.ticket


@pytest.mark.parametrize("vector", INDEX["timestamps"], ids=named)
def test_timestamp(vector: Vector) -> None:
    said = [base64.b64decode(each) for each in vector["timestamps"]]
    roots = [each for pem in vector["authorities"] for each in certificates.load(pem.encode())]
    assert timestamps.earliest(said, base64.b64decode(vector["signature"]), roots) == vector["signed_at"]


@pytest.mark.parametrize("vector", INDEX["clocks"])
def test_clock(vector: Vector) -> None:
    clock = Clock(
        lambda: float(vector["clock"]),
        vector["floor"],
        vector["witnessed"],
        lambda: bool(vector["vouched"]),
        vector["built"],
    )
    assert clock.now(vector["sealed_at"]) == (vector["begins"], vector["ends"])
    assert clock.persistable(*vector["expiries"]) == vector["remembered"]
    if not vector["refused"]:
        clock.check_sealed_at(vector["sealed_at"])
        return
    with pytest.raises(errors.RefusedError):
        clock.check_sealed_at(vector["sealed_at"])
