"""From grants to the data key of a verified bundle. Source: spec/bundle-v1.md, "Opening", step 6."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial

from modelkeep.bundle.signed_manifest import SignedManifest
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.grant import Grant
from modelkeep.keys.identity import Identity, UnwrappedGrant


def unwrap(
    signed: SignedManifest,
    identity: Identity,
    grants: Iterable[Grant],
    *,
    posture: frozenset[str] = frozenset(),
    passed_over: Counter[str] | None = None,
    delegating: bool = False,
) -> UnwrappedGrant:
    """Finds the grant for `identity` and takes the data key out of it, which the caller closes.

    Args:
        signed: the verified manifest of the bundle.
        identity: who wants to open.
        grants: where to look; only read as far as needed.
        posture: names of what this device was found to be, for grants that demand some.
        passed_over: kinds of grants that were left out of `grants`, for messages.
        delegating: only a grant that allows delegation will do.

    Raises:
        NotForThisDeviceError: no grant fits.
        RefusedError: none of those that fit allows delegation.
        TamperedError: the grant is damaged or holds the key of something else.
        ExpiredError, PostureError: the grant's constraints are not met.
        UntrustedSignerError, SignatureError: the bundle wants signed grants and this is none.
    """
    manifest = signed.manifest
    # The header that is checked here is authentic as soon as the grant opens under it.
    accept = partial(_accept, signed, posture, delegating)
    grant = identity.select(grants, manifest.bundle, accept=accept, passed_over=passed_over)
    unwrapped = identity.unwrap(grant, manifest.bundle)
    try:
        unwrapped.data_key.check_commitment(manifest.commitment, manifest.binding)
    except BaseException:
        unwrapped.data_key.close()
        raise
    return unwrapped


def _accept(signed: SignedManifest, posture: frozenset[str], delegating: bool, grant: Grant) -> None:
    if signed.manifest.grant_issuers:
        grant.check_issuer(signed.manifest.grant_issuers, signed.revoked_keys)
    grant.header.constraints.check(signed.now, posture)
    if delegating:
        grant.header.constraints.delegated(Constraints())
