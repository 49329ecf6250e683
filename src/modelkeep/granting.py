"""Granting: give a sealed model to one more device, without touching the bundle."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from modelkeep.bundle.access import Access, IdentityLike, sidecar_path, unlock_bundle
from modelkeep.bundle.bundle import UnlockedBundle
from modelkeep.dsse import EcdsaSigner
from modelkeep.errors import UsageError
from modelkeep.grants import sidecar
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.header import PASSPHRASE
from modelkeep.grants.issuer import GrantIssuer
from modelkeep.grants.recipient import Recipient
from modelkeep.keys.identity import Identity
from modelkeep.keys.recipients import RecipientsLike, check_company, resolve
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.signers import SignerLike, as_signer

_OPENS, _DELEGATES = Constraints(), Constraints(delegate=True)


@dataclass(frozen=True, slots=True)
class Granted:
    """What `grant` did; also the path of the file that it wrote to.

    Attributes:
        path: the file with the grants.
        recipients: who may open now.
        admins: who may open and grant now.
        constraints: what the new grants demand: what was asked for and what the own grant demands.
    """

    path: Path
    recipients: tuple[Recipient, ...]
    admins: tuple[Recipient, ...]
    constraints: Constraints

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def grant(
    path: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    to: RecipientsLike = (),
    admins: RecipientsLike = (),
    constraints: Constraints | None = None,
    grant_file: str | os.PathLike[str] | None = None,
    grant_signer: SignerLike | None = None,
    output: str | os.PathLike[str] | None = None,
) -> Granted:
    """Issues grants and appends them to a file; returns which file, and for whom.

    Every new grant carries the constraints of the own grant as well: granting can narrow what
    was granted, never widen it.

    Args:
        path: the bundle.
        identity: somebody whose own grant allows delegation.
        to: who may open the model.
        admins: who may open it and grant it to others.
        constraints: what the new grants demand beyond the own one.
        verifier: whom to trust: nobody should grant what somebody else dressed up as a model of theirs.
        grant_file: where the own grant is, when neither embedded nor in the sidecar.
        grant_signer: signs the new grants, for bundles that accept signed grants only.
        output: file to append to; by default the bundle's sidecar.

    Raises:
        RefusedError: the own grant does not allow delegation, or its constraints are not met.
        NotForThisDeviceError: there is no own grant.
        UsageError: nobody to grant to, or a signer is needed.
    """
    target = sidecar_path(Path(path)) if output is None else Path(output)
    recipients, delegates = resolve(to), resolve(admins)
    check_company([*recipients, *delegates])
    if not recipients and not delegates:
        raise UsageError("nobody to grant to", hint="name at least one recipient")
    with Access(identity, verifier, grant_file) as access:
        _refuse_passphrases([access.identity, *recipients, *delegates])
        with unlock_bundle(path, access, delegating=True) as unlocked:
            issuer = grant_issuer(unlocked, constraints, as_signer(grant_signer))
            grants = [issuer.issue(recipient, _OPENS) for recipient in recipients]
            grants += [issuer.issue(recipient, _DELEGATES) for recipient in delegates]
    sidecar.append(target, grants)
    return Granted(target, tuple(recipients), tuple(delegates), replace(issuer.terms, delegate=False))


def grant_issuer(
    unlocked: UnlockedBundle,
    constraints: Constraints | None,
    signer: EcdsaSigner | None,
    *,
    delegates: bool = True,
) -> GrantIssuer:
    """Returns what issues grants of an unlocked bundle under the authority of the own one.

    Raises:
        RefusedError: the own grant does not allow delegation.
        UsageError: the bundle accepts signed grants only, and there is no signer.
    """
    unlocked.check_grant_signer(signer)
    # Who may pass it on is decided grant by grant, where somebody may.
    terms = unlocked.grant.constraints.delegated(replace(constraints or Constraints(), delegate=delegates))
    return GrantIssuer(unlocked.manifest.bundle, unlocked.grant.data_key, terms, signer)


def _refuse_passphrases(parties: Iterable[Identity | Recipient]) -> None:
    if PASSPHRASE in [party.type for party in parties]:
        raise UsageError(
            "a passphrase grant must be the only one of its bundle", hint="seal again for other recipients"
        )
