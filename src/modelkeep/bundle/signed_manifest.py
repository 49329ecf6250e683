"""From signature document to manifest: the first checks of everything that is opened.

Source: spec/bundle-v1.md, "Opening", steps 2 to 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelkeep.container import names
from modelkeep.container.front import Front
from modelkeep.device.state import SeenTrust
from modelkeep.errors import SignatureError, TamperedError
from modelkeep.manifest import Coverage, Manifest
from modelkeep.trust.verifier import BundleVerifier


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A manifest that somebody trusted signed, and that the verifier's policy accepts.

    Attributes:
        front: the documents that this was read from and verified with.
        manifest: what was signed.
        resources: name to SHA-256 of every file that the statement lists; empty if unsigned.
        signer: who signed, or None where the verifier accepts unsigned bundles.
        now: the time that counts, in seconds since 1970-01-01 UTC.
        trust: the trust file that says who is trusted, or None where none does.
    """

    front: Front
    manifest: Manifest
    resources: Mapping[str, bytes]
    signer: str | None
    now: int
    trust: SeenTrust | None


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
    resources, signer = _signed_resources(front, verifier)
    manifest = Manifest.from_bytes(front.manifest)
    if signer is not None:
        _check_coverage(manifest, resources)
    verifier.check(manifest, signer)
    now = verifier.now(manifest.sealed_at)
    return SignedManifest(front, manifest, resources, signer, now, _trust_of(verifier))


def _signed_resources(front: Front, verifier: BundleVerifier) -> tuple[Mapping[str, bytes], str | None]:
    if not verifier.requires_signature:
        return {}, None
    if front.signature is None:
        raise SignatureError("the bundle is not signed", hint="seal it with a signer")
    verified = verifier.verify_statement(front.signature, front.second)
    resources = verified.statement.resources
    if resources.get(names.MANIFEST) != front.manifest_digest:
        raise TamperedError("manifest.json is not the one that was signed")
    return resources, verified.signer_id


def _trust_of(verifier: BundleVerifier) -> SeenTrust | None:
    trust = verifier.trust_file
    # One that was not read from a file with roots is the caller's own, and has no number to remember.
    return None if trust is None or trust.roots is None else SeenTrust(trust.roots, trust.number)


def _check_coverage(manifest: Manifest, resources: Mapping[str, bytes]) -> None:
    # The statement's own ignore_paths have no say here: what is listed must be exactly what
    # the manifest announces.
    expected = [names.MANIFEST]
    if manifest.coverage is Coverage.FILES:
        expected = names.signed_files(len(manifest.members))
    if set(resources) != set(expected):
        raise SignatureError("the signature covers other files than the bundle has")
