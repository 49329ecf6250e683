"""Facts of what is inside: how it is encrypted, and what its publisher sealed with the model."""

from __future__ import annotations

from collections.abc import Iterator

from modelkeep.assurance.fact import Fact, not_shown, verified
from modelkeep.inner_manifest import InnerManifest
from modelkeep.manifest import Suite

_UNKNOWN = "without a key, nobody sees what is inside"


def sealed_facts(suite: Suite | None, signature: str) -> Iterator[Fact]:
    """Yields how it is encrypted.

    Args:
        suite: the suite under which every segment has opened; None where no key was at hand.
        signature: the algorithms that have verified, in words; empty where nobody signed.
    """
    if suite is None:
        yield not_shown("encrypted", "without a key, what looks encrypted cannot be told from anything else")
        yield not_shown("algorithms", "without a key, only signature and digests were used")
        return
    yield verified("encrypted", f"every segment opened, authentic, under {suite.name} with this device's key")
    yield verified("algorithms", f"used here: {suite.name}{signature}")


def inside_facts(inner: InnerManifest | None) -> Iterator[Fact]:
    """Yields what the publisher sealed with the model; `inner` is None where no key was at hand."""
    if inner is None:
        for name in ("contract", "guard", "golden"):
            yield not_shown(name, _UNKNOWN)
        return
    yield _contract(inner)
    yield _sealed("guard", inner.guard is not None, "profile of a guard")
    yield _sealed("golden", inner.golden is not None, "golden vectors for trials")


def _contract(inner: InnerManifest) -> Fact:
    entries = inner.entries
    if not entries or any(entry.contract is None for entry in entries):
        return not_shown("contract", "an entry of the model has no contract, so its inputs are not checked")
    return verified(
        "contract", f"a contract is sealed with the model, for each of its entries ({len(entries)})"
    )


def _sealed(name: str, there: bool, what: str) -> Fact:
    return (
        verified(name, f"{what}: sealed with the model") if there else not_shown(name, f"{what}: none sealed")
    )
