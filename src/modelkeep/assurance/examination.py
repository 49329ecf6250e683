"""One look at a model: everything is checked that can be, and what that has shown is said.

Nothing here believes what a file says of itself: a fact is there when its check has passed in this run.
Whatever refuses ends the look, so that no facts of something refused exist.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelkeep.assurance.device_facts import (
    grant_facts,
    isolation_fact,
    key_facts,
    posture_facts,
    state_facts,
)
from modelkeep.assurance.fact import Fact
from modelkeep.assurance.model_facts import inside_facts, sealed_facts
from modelkeep.assurance.release_facts import release_facts
from modelkeep.bundle.access import Access, unlock
from modelkeep.bundle.bundle import Bundle, UnlockedBundle
from modelkeep.bundle.installation import UnlockedInstallation
from modelkeep.bundle.signed_manifest import SignedManifest
from modelkeep.bundle.unlocked import Unlocked
from modelkeep.errors import UsageError
from modelkeep.isolation import Hardening, ProcessIsolation
from modelkeep.keys.management import describe_key
from modelkeep.opening import open_session
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.probes.local import local_findings
from modelkeep.trust.bundle_verifier import BundleVerifier


def examine_bundle(
    path: str | os.PathLike[str], verifier: BundleVerifier, progress: Progress = no_progress
) -> tuple[Fact, ...]:
    """Returns what can be shown of a bundle without any key.

    Raises:
        KeepError: what refused it; see `Bundle.verify` and `VerifiedBundle.check_digests`.
    """
    with Bundle(path) as bundle:
        verified = bundle.verify(verifier)
        verified.check_digests(progress)
    found = (release_facts(verified.signed, verifier), sealed_facts(None, ""), inside_facts(None))
    return tuple(fact for facts in found for fact in facts)


def examine_opened(
    path: str | os.PathLike[str],
    access: Access,
    key: str,
    *,
    isolated: bool = False,
    progress: Progress = no_progress,
) -> tuple[Fact, ...]:
    """Returns what can be shown of a bundle or installation with the key of a device.

    Args:
        path: the bundle or installation.
        access: with what it is opened, and whom to trust.
        key: the URI of the key, whose store is asked how it keeps it.
        isolated: also load the model into a hardened process of its own.
        progress: told the bytes that were checked.

    Raises:
        KeepError: what refused it; see `unlock` and `open_session`.
    """
    with unlock(path, access) as unlocked:
        facts = tuple(_opened(unlocked, access, progress))
    hardening = _hardening(path, access) if isolated else None
    findings = local_findings(model=Path(path))
    return (*facts, *key_facts(_described(key)), isolation_fact(hardening), *posture_facts(findings))


def _opened(unlocked: Unlocked, access: Access, progress: Progress) -> Iterator[Fact]:
    signed = _checked(unlocked, progress)
    yield from release_facts(signed, access.verifier, installed=unlocked.provenance.installed)
    yield from sealed_facts(unlocked.sealed_stream(0).suite, _signature_words(signed))
    yield from inside_facts(unlocked.inner_manifest())
    state = access.identity.device_state()
    try:
        yield from grant_facts(access.identity.type, unlocked.provenance, belongs_to_device=state is not None)
        yield from state_facts(state, signed.manifest.model, access.verifier)
    finally:
        if state is not None:
            state.close()


def _checked(unlocked: Unlocked, progress: Progress) -> SignedManifest:
    """Holds a bundle's bytes against its signed digests, then opens every segment."""
    if isinstance(unlocked, UnlockedBundle):
        unlocked.verified.check_digests()
        signed = unlocked.verified.signed
    else:
        assert isinstance(unlocked, UnlockedInstallation)
        signed = unlocked.signed
    unlocked.check(progress)
    return signed


def _signature_words(signed: SignedManifest) -> str:
    if signed.signer is None:
        return ""
    return f"; ECDSA (OpenSSF Model Signing); {signed.manifest.leaf_algorithm.name} for segments"


def _hardening(path: str | os.PathLike[str], access: Access) -> Hardening | None:
    with open_session(
        path,
        identity=access.identity,
        verifier=access.verifier,
        grant_file=access.grant_file,
        posture=access.posture,
        isolation=ProcessIsolation(fresh=True),
    ) as session:
        return session.report.hardening


def _described(key: str) -> dict[str, Any] | None:
    # A store need not be able to say.
    with suppress(UsageError):
        return describe_key(key)
    return None
