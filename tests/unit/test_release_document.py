"""The documents of a repository that speak of releases: read as they were written, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelkeep import canonical
from modelkeep.errors import MalformedError, UnsupportedVersionError, UsageError
from modelkeep.release_order import ReleaseOrder
from modelkeep.updates.phase import Offer, Phase
from modelkeep.updates.release_document import ReleaseDocument, Requires

PLAIN = ReleaseDocument(
    model="acme/detector",
    bundle=bytes(16),
    order=ReleaseOrder(3, 1_700_000_000),
    manifest=bytes(32),
    archive="bundles/0000.keep",
    size=4096,
)
FULL = replace(
    PLAIN,
    grants="bundles/0000.keep.grants",
    requires=Requires(modelkeep=(0, 1, 0), guard=2, disk=5000, memory=10_000),
    attempt=2,
    root=4,
    withdrawn=True,
)
OTHER = replace(PLAIN, bundle=bytes(15) + b"\1")
PHASE = Phase("acme/detector", (Offer(PLAIN.name, 0, 100), Offer(OTHER.name, 1, 1000, paused=True)))


@pytest.mark.parametrize("document", [PLAIN, FULL])
def test_a_release_document_is_read_as_it_was_written(document: ReleaseDocument) -> None:
    assert document.name == f"releases/acme/detector/{'0' * 32}.json"
    assert ReleaseDocument.from_bytes(document.to_bytes(), document.name) == document


def test_a_phase_is_read_as_it_was_written() -> None:
    assert Phase.from_bytes(PHASE.to_bytes(), "acme/detector") == PHASE
    assert PHASE.offer_of(PLAIN.name) == PHASE.offers[0]
    assert PHASE.offer_of("releases/acme/detector/other.json") is None


def test_a_document_is_that_of_its_name() -> None:
    with pytest.raises(MalformedError, match="is that of"):
        ReleaseDocument.from_bytes(PLAIN.to_bytes(), PLAIN.name.replace("detector", "other"))
    with pytest.raises(MalformedError, match="is not acme/other"):
        Phase.from_bytes(PHASE.to_bytes(), "acme/other")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("archive", "../bundle.keep"),
        ("archive", "/bundle.keep"),
        ("grants", "bundles//x"),
        ("model", "acme/../x"),
        ("bundle", "00"),
        ("size", 0),
        ("requires", {"modelkeep": "1.2"}),
        ("requires", {"modelkeep": "1.02.3"}),
        ("requires", {"disk": 0}),
        ("requires", {"colour": 1}),
        ("withdrawn", False),
        ("root", 0),
        ("more", 1),
    ],
)
def test_what_a_release_document_cannot_say_is_refused(member: str, value: object) -> None:
    members = canonical.decode(FULL.to_bytes(), "document") | {member: value}
    with pytest.raises(MalformedError):
        ReleaseDocument.from_bytes(canonical.encode(members), FULL.name)


@pytest.mark.parametrize(
    "offers",
    [
        [{"release": PLAIN.name, "attempt": 0, "share": 1001}],
        [{"release": PLAIN.name.replace("detector", "other"), "attempt": 0, "share": 1}],
        # A model below this one, whose documents begin with the same words.
        [{"release": PLAIN.name.replace("detector", "detector/small"), "attempt": 0, "share": 1}],
        [{"release": PLAIN.name, "attempt": 0, "share": 1}] * 2,
        [{"release": PLAIN.name, "attempt": 0, "share": 1, "paused": False}],
    ],
)
def test_what_a_phase_cannot_say_is_refused(offers: list[dict[str, object]]) -> None:
    members = canonical.decode(PHASE.to_bytes(), "phase") | {"offers": offers}
    with pytest.raises(MalformedError):
        Phase.from_bytes(canonical.encode(members), "acme/detector")


def test_limits() -> None:
    with pytest.raises(UsageError, match="at most 16"):
        Phase("m", PHASE.offers * 9).to_bytes()
    with pytest.raises(UsageError, match="from 0 to 1000"):
        Offer(PLAIN.name, 0, 1001)
    with pytest.raises(MalformedError, match="larger"):
        Phase.from_bytes(bytes(2**16 + 1), "m")
    with pytest.raises(MalformedError, match="larger"):
        ReleaseDocument.from_bytes(bytes(2**14 + 1), "m")
    newer = canonical.encode(canonical.decode(PLAIN.to_bytes(), "document") | {"version": 2})
    with pytest.raises(UnsupportedVersionError):
        ReleaseDocument.from_bytes(newer, PLAIN.name)
