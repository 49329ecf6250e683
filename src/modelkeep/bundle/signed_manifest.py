"""From signature document to manifest: the first checks of everything that is opened.

Source: spec/bundle-v1.md, "Opening", steps 2 to 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from modelkeep.clock import Clock, Now
from modelkeep.container import names
from modelkeep.container.front import Front
from modelkeep.errors import SignatureError, TamperedError
from modelkeep.manifest import Coverage, Manifest
from modelkeep.signer_id import SignerId
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.release import Release


class SignedManifest(NamedTuple):
    """A manifest that somebody trusted signed, and that the verifier's policy accepts.

    Attributes:
        front: the documents that this was read from and verified with.
        manifest: what was signed.
        resources: name to SHA-256 of every file that the statement lists; empty if unsigned.
        signer: who signed, or None where the verifier accepts unsigned bundles.
        signed_at: a moment at which the signature was there, as an authority of time says, or None.
        now: the time that counts.
        revoked_keys: fingerprints of keys whose signatures count nowhere.
    """

    front: Front
    manifest: Manifest
    resources: Mapping[str, bytes]
    signer: SignerId | None
    signed_at: int | None
    now: Now
    revoked_keys: frozenset[str]

    @property
    def release(self) -> Release:
        """What policies see of it."""
        return Release(self.manifest, self.signer, self.now.ends, self.signed_at)

    def checked_leaves(self, index: int, data: bytes) -> bytes:
        """Returns `data` if it is the leaf list of member `index`, by all its signed digests.

        Raises:
            TamperedError: it is not the one that was signed.
        """
        name, member = names.leaves(index), self.manifest.members[index]
        listed = self.resources.get(name)
        if self.manifest.leaf_algorithm.digest(data) != member.leaves or (
            listed is not None and hashlib.sha256(data).digest() != listed
        ):
            raise TamperedError(f"{name} is not the one that was signed")
        return data


def other_files() -> TamperedError:
    """Returns the error for leaves and payload of other names or sizes than the manifest lists."""
    return TamperedError("the files of the bundle are not those that its manifest lists")


def verify_manifest(front: Front, verifier: BundleVerifier) -> SignedManifest:
    """Verifies a manifest as it was received; it is parsed only when its signature holds.

    Args:
        front: manifest and signatures.
        verifier: whom to trust, and what to accept.

    Raises:
        SignatureError, UntrustedSignerError: nobody trusted signed this.
        TamperedError: the manifest is not the one that was signed.
        RefusedError: the verifier's policy says no.
        MalformedError: the manifest is damaged although signed.
    """
    resources, signer, signed_at = _signed_resources(front, verifier)
    manifest = Manifest.from_bytes(front.manifest)
    if signer is not None:
        _check_coverage(manifest, resources)
    clock = verifier.clock.witnessing(signed_at)
    now = _now(clock, manifest, signer)
    verifier.accept(Release(manifest, signer, now.ends, signed_at))
    return SignedManifest(front, manifest, resources, signer, signed_at, now, verifier.revoked_keys)


def _now(clock: Clock, manifest: Manifest, signer: SignerId | None) -> Now:
    # The time in a bundle that anybody made means nothing.
    return clock.now() if signer is None else clock.now(manifest.sealed_at)


def _signed_resources(
    front: Front, verifier: BundleVerifier
) -> tuple[Mapping[str, bytes], SignerId | None, int | None]:
    if not verifier.requires_signature:
        return {}, None, None
    if front.signature is None:
        raise SignatureError("the bundle is not signed", hint="seal it with a signer")
    verified = verifier.verify_statement(front.signature, front.second)
    resources = verified.statement.resources
    if resources.get(names.MANIFEST) != front.manifest_digest:
        raise TamperedError("manifest.json is not the one that was signed")
    return resources, verified.signer, verified.signed_at


def _check_coverage(manifest: Manifest, resources: Mapping[str, bytes]) -> None:
    # The statement's own ignore_paths have no say here: what is listed must be exactly what
    # the manifest announces.
    expected = [names.MANIFEST]
    if manifest.coverage is Coverage.FILES:
        expected = names.signed_files(len(manifest.members))
    if set(resources) != set(expected):
        raise SignatureError("the signature covers other files than the bundle has")
