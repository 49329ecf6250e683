"""Facts of the device at hand: what its key opened, what it remembers, what it says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelkeep.assurance.fact import Fact, advisory, not_shown, quoted, verified
from modelkeep.bundle.unlocked import Provenance
from modelkeep.device.state import DeviceState
from modelkeep.grants.constraints import Constraints
from modelkeep.isolation import Hardening
from modelkeep.keys.management import Level
from modelkeep.posture.finding import Finding, words
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.trust_report import moment

_HARDWARE = {Level.TPM.value, Level.TEE.value, Level.HSM.value}


def grant_facts(kind: str, provenance: Provenance, *, belongs_to_device: bool) -> Iterator[Fact]:
    """Yields what opening with a key has shown; it has, and the grant's terms were met.

    Args:
        kind: recipient type of the key.
        provenance: what was opened.
        belongs_to_device: whether the key is one of a device, not a passphrase.
    """
    yield _device_key(kind, provenance, belongs_to_device)
    yield _grant_ends(provenance.constraints)
    if provenance.installed:
        yield verified("installed", "this is an installation that this device's key made, and that counts")
    else:
        yield not_shown("installed", "this is a bundle, which any device with a grant opens")


def key_facts(described: Mapping[str, Any] | None) -> Iterator[Fact]:
    """Yields where the key is kept, as far as its store says so.

    Args:
        described: what the store says of the key, or None where it cannot.
    """
    if described is None or "level" not in described:
        yield not_shown("key-hardware", "this key's store does not say how it keeps keys")
        return
    level, protection = str(described["level"]), str(described.get("protection", ""))
    said = f"the key's store says: level {quoted(level)}, {quoted(protection)}"
    yield advisory("key-hardware", said) if level in _HARDWARE else not_shown("key-hardware", said)


def state_facts(state: DeviceState | None, model: str, verifier: BundleVerifier) -> Iterator[Fact]:
    """Yields what the device remembers of a model, and what keeps that from being taken back.

    Args:
        state: the device's state, if the key has one.
        model: the model's id.
        verifier: whose signatures count.
    """
    if state is None or not state.has_begun:
        yield not_shown("floor", "this device remembers nothing: nothing was installed on it with this key")
        yield not_shown("counter", "without a state, nothing is counted")
        return
    floor = state.look().floor(model, verifier).order
    if floor.epoch:
        yield verified(
            "floor", f"the device's state, authentic under its key, refuses what is older than {floor}"
        )
    else:
        yield not_shown("floor", "this device has never installed this model")
    yield _counter(state.number)


def posture_facts(findings: Iterable[Finding]) -> Iterator[Fact]:
    """Yields what the device says of itself: never more than advisory."""
    for finding in findings:
        said = f"{finding.name} = {words(finding.value)}{f': {quoted(finding.why)}' if finding.why else ''}"
        yield advisory(finding.name, said) if finding.value is True else not_shown(finding.name, said)


def isolation_fact(hardening: Hardening | None) -> Fact:
    """Returns what the process that held the model had given up; None where none was asked for."""
    if hardening is None:
        return not_shown("isolation", "the model was not run; --isolated tries a hardened process of its own")
    if hardening.missing:
        return not_shown(
            "isolation", f"a process of its own, but {'; '.join(map(quoted, hardening.missing))}"
        )
    return verified(
        "isolation", f"the model loaded in a process that gave up: {', '.join(hardening.in_force)}"
    )


def _device_key(kind: str, provenance: Provenance, belongs_to_device: bool) -> Fact:
    if not belongs_to_device:
        return not_shown("device-key", f"opened with a {kind}, which belongs to no device")
    name = f", granted as {quoted(provenance.device_id)}" if provenance.device_id else ""
    how = "an installation" if provenance.installed else "a grant"
    return verified("device-key", f"a key of this device ({kind}) opened {how} made for it alone{name}")


def _grant_ends(constraints: Constraints) -> Fact:
    postures = f"; it asks for {', '.join(constraints.posture)}" if constraints.posture else ""
    if constraints.not_after is None:
        return not_shown("grant-ends", f"the grant has no end{postures}")
    return verified("grant-ends", f"the grant ends at {moment(constraints.not_after)}{postures}")


def _counter(number: int | None) -> Fact:
    if number is None:
        return not_shown("counter", "nothing counts beside the state: an older copy of it would be believed")
    return verified("counter", f"the state is the one that the key's hardware counter names, number {number}")
