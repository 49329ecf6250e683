"""Readers of what repositories say in our words: release documents, phases, plans of ceremonies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical
from modelkeep.errors import MalformedError
from modelkeep.release_order import ReleaseOrder
from modelkeep.updates.phase import Offer, Phase
from modelkeep.updates.release_document import ReleaseDocument, Requires
from modelkeep.updates.repository.family import Family
from modelkeep.updates.repository.plan import Plan

MODEL = "acme/detector"
RELEASE = ReleaseDocument(MODEL, bytes(16), ReleaseOrder(3, 1_700_000_000), bytes(32), "bundles/0.keep", 9)


def read_release(data: bytes) -> None:
    """Reads a release document under the name that it has by itself, and writes it back; see `read_phase`."""
    said = canonical.decode(data, "release document")
    if not isinstance(said, dict):
        raise MalformedError("not an object")
    name = f"releases/{said.get('model')}/{said.get('bundle')}.json"
    assert ReleaseDocument.from_bytes(data, name).to_bytes() == data or b'"ext"' in data


def read_phase(data: bytes) -> None:
    """Reads a phase and writes it back; extensions are not kept."""
    assert Phase.from_bytes(data, MODEL).to_bytes() == data or b'"ext"' in data


def read_plan(data: bytes) -> None:
    """Reads the plan of a ceremony and writes it back; extensions, and how keys are written, are not kept."""
    plan = Plan.from_bytes(data)
    assert Plan.from_bytes(plan.to_bytes()) == plan


READERS: Mapping[str, Callable[[bytes], None]] = {
    "release document": read_release,
    "phase": read_phase,
    "plan of a ceremony": read_plan,
}


def good_documents() -> Mapping[str, Sequence[bytes]]:
    """Returns good documents for every reader here."""
    full = ReleaseDocument(
        MODEL,
        bytes(16),
        ReleaseOrder(3, 1_700_000_000),
        bytes(32),
        "bundles/0.keep",
        9,
        grants="bundles/0.keep.grants",
        requires=Requires((1, 2, 3), 2, 5, 6),
        attempt=1,
        root=2,
        withdrawn=True,
    )
    plan = Plan(("alice", "bob"), 1, (Family("", ("acme/*",)), Family("audio", ("sound/one", "sound/two"))))
    keys = [ec.derive_private_key(secret, ec.SECP256R1()).public_key() for secret in (17, 18)]
    phase = Phase(MODEL, (Offer(RELEASE.name, 0, 100), Offer(RELEASE.name.replace("0.", "1."), 1, 5, True)))
    return {
        "release document": [RELEASE.to_bytes(), full.to_bytes()],
        "phase": [Phase(MODEL).to_bytes(), phase.to_bytes()],
        "plan of a ceremony": [
            plan.to_bytes(),
            plan.with_key("alice.trust", keys[0]).with_key("models-audio", keys[1]).to_bytes(),
        ],
    }
