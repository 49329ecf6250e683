"""Facts of what was signed and of what the bytes came to: what a verifier alone can see."""

from __future__ import annotations

from collections.abc import Iterator

from modelkeep.assurance.fact import Fact, not_shown, quoted, verified
from modelkeep.bundle.signed_manifest import SignedManifest
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.trust_report import moment


def release_facts(
    signed: SignedManifest, verifier: BundleVerifier, *, installed: bool = False
) -> Iterator[Fact]:
    """Yields who vouches for a release whose every byte has been checked.

    Args:
        signed: the manifest.
        verifier: by whom it was verified.
        installed: whether the bytes are those of an installation, which this device has encrypted anew.
    """
    yield _signature(signed)
    yield _digests(signed, installed)
    yield _trust_file(verifier)
    yield _timestamp(signed)


def _signature(signed: SignedManifest) -> Fact:
    if signed.signer is None:
        return not_shown("signature", "nobody checked who made it (--unsafe-unsigned)")
    manifest = signed.manifest
    release = f", release {quoted(manifest.release)}" if manifest.release else ""
    return verified(
        "signature",
        f"model {quoted(manifest.model)}, epoch {manifest.epoch}{release}, bundle {manifest.bundle.hex()}, "
        f"is signed by {_signer(signed)}",
    )


def _signer(signed: SignedManifest) -> str:
    signer = signed.signer
    assert signer is not None
    key = f"key sha256:{signer.key.hex()}"
    return key if signer.subject is None else f"{key}, with a certificate for {quoted(str(signer.subject))}"


def _digests(signed: SignedManifest, installed: bool) -> Fact:
    if signed.signer is None:
        return not_shown("digests", "what nobody signed is held against nothing")
    members = signed.manifest.members
    size = sum(member.size for member in members)
    # Installing held it against the digests; what is encrypted anew has others.
    what = "what this device installed, digests verified" if installed else "what was signed"
    return verified(
        "digests", f"every byte of {len(members)} encrypted files ({size} bytes inside) is {what}"
    )


def _trust_file(verifier: BundleVerifier) -> Fact:
    trust = verifier.trust
    if trust is None or trust.roots is None:
        return not_shown(
            "trust-file", "trust in keys that the caller named; no trust file, so nothing revokes them"
        )
    return verified(
        "trust-file",
        f"trust file {trust.number}, signed by {trust.roots.threshold} or more of "
        f"{len(trust.roots.keys)} roots, lets this signer sign this model",
    )


def _timestamp(signed: SignedManifest) -> Fact:
    if signed.signed_at is None:
        return not_shown("timestamp", "no authority that is trusted here says when it was signed")
    return verified("timestamp", f"an authority saw the signature at {moment(signed.signed_at)}")
