"""To how many devices a release goes by now: changed with the key of phases alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelkeep import dsse
from modelkeep.errors import UsageError
from modelkeep.updates.phase import Phase
from modelkeep.updates.release_document import document_name
from modelkeep.updates.repository import offering
from modelkeep.updates.repository.catalogue import Catalogue
from modelkeep.updates.repository.metadata import PHASE_ROLE
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.role_signers import RoleSigners

Change = Callable[[Phase, str], Phase]


def promote(
    repository: Repository, model: str, signers: Sequence[dsse.EcdsaSigner], bundle: bytes | None = None
) -> Phase:
    """Lets every device take a release; see `change_phase`."""
    return change_phase(repository, model, signers, offering.promoted, bundle)


def set_share(
    repository: Repository,
    model: str,
    signers: Sequence[dsse.EcdsaSigner],
    share: int | None = None,
    *,
    paused: bool = False,
    bundle: bytes | None = None,
) -> Phase:
    """Lets another share of devices take a release, or no further one for now; see `change_phase`.

    Args:
        repository: where.
        model: the model's id.
        signers: keys of phases, snapshot and timestamp.
        share: how many of a thousand devices; None leaves it.
        paused: whether no further device begins with it.
        bundle: which release.
    """

    def change(phase: Phase, release: str) -> Phase:
        return offering.with_share(phase, release, share, paused=paused)

    return change_phase(repository, model, signers, change, bundle)


def change_phase(
    repository: Repository,
    model: str,
    signers: Sequence[dsse.EcdsaSigner],
    change: Change,
    bundle: bytes | None = None,
) -> Phase:
    """Changes what is offered of a model.

    Args:
        repository: where.
        model: the model's id.
        signers: keys of phases, snapshot and timestamp.
        change: gets the phase and the name of the release's document.
        bundle: id of the bundle whose release is meant; the newest one on offer if it is None.

    Raises:
        UsageError: nothing is offered, not this release, too few keys.
        TamperedError: the repository is not what was signed.
        UnavailableError: it cannot be written; what was published goes on counting.
    """
    keys = RoleSigners(signers)
    with repository.changing() as edition:
        phase = Catalogue(edition).phase(model)
        changed = change(phase, _release(phase, bundle))
        edition.put(PHASE_ROLE, changed.name, changed.to_bytes())
        edition.check_signers(keys)
        repository.write(edition, keys)
    return changed


def _release(phase: Phase, bundle: bytes | None) -> str:
    if bundle is not None:
        return document_name(phase.model, bundle)
    if not phase.offers:
        raise UsageError(f"nothing of {phase.model} is offered", hint="publish a release first")
    return phase.offers[0].release
