"""Granting: give a sealed model to one more device, without touching the bundle."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from modelkeep.bundle.access import sidecar_path, unlock_bundle
from modelkeep.bundle.bundle import UnlockedBundle
from modelkeep.dsse import EcdsaSigner
from modelkeep.errors import UsageError
from modelkeep.grants import sidecar
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.grant import Grant
from modelkeep.grants.header import PASSPHRASE
from modelkeep.grants.recipient import Recipient, issue
from modelkeep.keys.identity import Identity
from modelkeep.keys.recipients import RecipientLike, resolve
from modelkeep.trust.verifier import BundleVerifier, UnsafeUnsigned


def grant(
    path: str | os.PathLike[str],
    *,
    identity: Identity,
    to: Iterable[RecipientLike] = (),
    admins: Iterable[RecipientLike] = (),
    constraints: Constraints | None = None,
    verifier: BundleVerifier | None = None,
    grant_file: str | os.PathLike[str] | None = None,
    grant_signer: EcdsaSigner | None = None,
    output: str | os.PathLike[str] | None = None,
) -> Path:
    """Issues grants and appends them to a file; returns that file's path.

    Every new grant carries the constraints of the own grant as well: granting can narrow what
    was granted, never widen it.

    Args:
        path: the bundle.
        identity: somebody whose own grant allows delegation.
        to: who may open the model.
        admins: who may open it and grant it to others.
        constraints: what the new grants demand beyond the own one.
        verifier: whom to trust. Without one the publisher is not checked: the recipients will
            do that when they open the bundle, and the grant is bound to this bundle alone.
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
    if not recipients and not delegates:
        raise UsageError("nobody to grant to", hint="name at least one recipient")
    if PASSPHRASE in [identity.type, *(recipient.type for recipient in recipients + delegates)]:
        raise UsageError(
            "a passphrase grant must be the only one of its bundle", hint="seal again for other recipients"
        )
    verifier = verifier or UnsafeUnsigned()
    with unlock_bundle(
        path, identity=identity, verifier=verifier, grant_file=grant_file, delegating=True
    ) as unlocked:
        issuing = _Issuing(unlocked, constraints or Constraints(), grant_signer)
        grants = [issuing.grant(recipient, delegate=False) for recipient in recipients]
        grants += [issuing.grant(recipient, delegate=True) for recipient in delegates]
    sidecar.append(target, grants)
    return target


class _Issuing:
    """Issues grants under the authority of one own grant."""

    def __init__(
        self, unlocked: UnlockedBundle, constraints: Constraints, signer: EcdsaSigner | None
    ) -> None:
        self._own = unlocked.grant
        unlocked.check_grant_signer(signer)
        self._bundle = unlocked.manifest.bundle
        self._constraints = constraints
        self._signer = signer

    def grant(self, recipient: Recipient, *, delegate: bool) -> Grant:
        wanted = replace(self._constraints, delegate=delegate)
        narrowed = self._own.constraints.delegated(wanted)
        made = issue(recipient, self._bundle, self._own.data_key, narrowed)
        return made if self._signer is None else made.signed_by(self._signer)
