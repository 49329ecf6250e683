"""What a trust file asks of a release, as a policy."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelkeep.errors import RefusedError, UntrustedSignerError, UsageError
from modelkeep.public_key import TrustedKey
from modelkeep.trust.release import Release
from modelkeep.trust.sigstore_identity import SigstoreVerifier
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.trust_file import TrustFile


def trusted_by(trust: TrustFile) -> list[TrustedKey | SigstoreVerifier]:
    """Returns the publishers whose signatures count at all: keys that are not revoked, and identities.

    Raises:
        UsageError: there are none.
    """
    counting = tuple(each for each in trust.publishers if each.fingerprint not in trust.revoked_keys)
    if not counting:
        raise UsageError("the trust file leaves nobody to trust", hint="get a newer one from the publisher")
    return everybody_in(replace(trust, publishers=counting))


def everybody_in(trust: TrustFile) -> list[TrustedKey | SigstoreVerifier]:
    """Returns all publishers, those whose keys are revoked among them: for asking who made something."""
    everybody = [each.who for each in trust.publishers]
    keys: list[TrustedKey | SigstoreVerifier] = [e for e in everybody if not isinstance(e, SigstoreSigner)]
    named = [each for each in everybody if isinstance(each, SigstoreSigner)]
    return [*keys, SigstoreVerifier(named, trust.sigstore_root.encode())] if named else keys


@dataclass(frozen=True, slots=True)
class WithinTrustFile:
    """Accepts what a trust file in force lets its publishers sign, and has not revoked."""

    trust: TrustFile

    def __call__(self, release: Release, /) -> None:
        """Checks time, revocations, and the signer's models, families and times.

        Raises:
            ExpiredError: the trust file does not count any more.
            RefusedError: the bundle is revoked.
            UntrustedSignerError: the signer may not sign this model or family, or not at that time.
        """
        manifest = release.manifest
        self.trust.check_time(release.now)
        if manifest.bundle in self.trust.revoked_bundles or manifest.bundle in self.trust.void:
            raise RefusedError(
                f"bundle {manifest.bundle.hex()} is revoked", hint="get a newer release of the model"
            )
        if release.signer is None or not self.trust.allows(manifest, release.signer):
            raise UntrustedSignerError(
                f"{release.signer} may not sign model {manifest.model!r} of family {manifest.family!r} "
                "at the time of sealing",
                hint="ask the publisher, or get a newer trust file",
            )
