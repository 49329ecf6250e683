"""What a trust file asks of a release, as a policy."""

from __future__ import annotations

from dataclasses import dataclass

from modelkeep.errors import RefusedError, UntrustedSignerError
from modelkeep.trust.release import Release
from modelkeep.trust.trust_file import TrustFile


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
