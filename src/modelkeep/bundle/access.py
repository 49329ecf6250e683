"""From a path to an unlocked bundle: the steps that every command on the device side shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelkeep.bundle.bundle import Bundle, UnlockedBundle
from modelkeep.bundle.installation import Installation, is_installation
from modelkeep.bundle.trust_memory import see_trust_as, time_floor_of
from modelkeep.bundle.unlocked import Unlocked
from modelkeep.errors import UnsupportedVersionError, UsageError
from modelkeep.grants import sidecar
from modelkeep.grants.glance import Glance
from modelkeep.grants.grant import Grant
from modelkeep.keys.identity import Identity
from modelkeep.trust.verifier import BundleVerifier


def sidecar_path(bundle: Path) -> Path:
    """Returns where grants that were issued after sealing are kept: next to the bundle."""
    return bundle.with_name(f"{bundle.name}.grants")


def grants_of(
    bundle: Bundle, grant_file: str | os.PathLike[str] | None = None, glance: Glance | None = None
) -> Iterator[Grant]:
    """Gives the grants to choose from: those of `grant_file`, or else embedded ones and the sidecar's.

    Grants in files that `glance` passes over are left out.

    Raises:
        MalformedError: one of them is not a grant.
        StorageError: a file cannot be read.
    """
    if grant_file is not None:
        return sidecar.read(grant_file, required=True, glance=glance)
    beside = sidecar.read(sidecar_path(bundle.path), glance=glance)
    return _one_after_the_other(bundle.embedded_grants(), beside)


def _one_after_the_other(*sources: Iterator[Grant]) -> Iterator[Grant]:
    """Gives all grants; complains of those that are too new only when none of the others served."""
    too_new: UnsupportedVersionError | None = None
    for source in sources:
        try:
            yield from source
        except UnsupportedVersionError as error:
            too_new = too_new or error
    if too_new is not None:
        raise too_new


@contextmanager
def unlock_bundle(
    path: str | os.PathLike[str],
    *,
    identity: Identity,
    verifier: BundleVerifier,
    grant_file: str | os.PathLike[str] | None = None,
    posture: frozenset[str] = frozenset(),
    delegating: bool = False,
) -> Iterator[UnlockedBundle]:
    """Opens, verifies and unlocks a bundle for the length of a `with` block.

    With `delegating`, only a grant that allows delegation will do. A device that has a state refuses a
    trust file that is older than one it saw, and believes no clock that is behind what it remembers.

    Raises:
        KeepError: the subclass says what to do; see `Bundle.verify` and `VerifiedBundle.unlock`.
    """
    with Bundle(path) as bundle:
        verified = bundle.verify(verifier.no_earlier_than(time_floor_of(identity)))
        glance = identity.glance(verified.manifest.bundle)
        grants = grants_of(bundle, grant_file, glance)
        passed_over = glance.kinds if glance else None
        with verified.unlock(
            identity, grants, posture=posture, passed_over=passed_over, delegating=delegating
        ) as unlocked:
            see_trust_as(identity, verified.trust)
            yield unlocked


@contextmanager
def unlock(
    path: str | os.PathLike[str],
    *,
    identity: Identity,
    verifier: BundleVerifier,
    grant_file: str | os.PathLike[str] | None = None,
    posture: frozenset[str] = frozenset(),
) -> Iterator[Unlocked]:
    """Opens, verifies and unlocks a bundle or an installation for the length of a `with` block.

    Raises:
        UsageError: a grant file for an installation, which needs none.
        KeepError: the subclass says what to do; see `Bundle.verify`, `VerifiedBundle.unlock` and
            `Installation.unlock`.
    """
    if not is_installation(path):
        with unlock_bundle(
            path, identity=identity, verifier=verifier, grant_file=grant_file, posture=posture
        ) as bundle:
            yield bundle
        return
    if grant_file is not None:
        raise UsageError("an installation carries its grant", hint="leave the grant file out")
    with (
        Installation(path) as installation,
        installation.unlock(identity, verifier, posture=posture) as unlocked,
    ):
        yield unlocked
