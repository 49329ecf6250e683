"""A verifier that believes a trust file."""

from __future__ import annotations

import copy
import datetime
import time
from collections.abc import Sequence
from typing import Self

from modelkeep.errors import RefusedError, UntrustedSignerError, UsageError
from modelkeep.manifest import Manifest
from modelkeep.trust.policy import Policy, UnsafeAnyModel
from modelkeep.trust.second_signature import SecondKey
from modelkeep.trust.trust_file import Publisher, TrustFile
from modelkeep.trust.verifier import Clock, VerifiedStatement, Verifier


class TrustFileVerifier:
    """Accepts bundles of one model from the publishers of a trust file, within their limits.

    Args:
        trust: the verified trust file.
        model: the model id expected; `UnsafeAnyModel()` accepts every model of these publishers.
        minimum_epoch: lowest epoch accepted.
        maximum_age: longest time since sealing.
        policies: further rules, all of which must accept.
        clock: present time in seconds since 1970-01-01 UTC.
        second: ML-DSA-65 public key whose second signature every bundle must have as well.

    Raises:
        UsageError: the trust file leaves nobody to trust, or an argument is not of its form.
    """

    def __init__(
        self,
        trust: TrustFile,
        *,
        model: str | UnsafeAnyModel,
        minimum_epoch: int = 0,
        maximum_age: datetime.timedelta | None = None,
        policies: Sequence[Policy] = (),
        clock: Clock = time.time,
        second: SecondKey | None = None,
    ) -> None:
        self._trust = trust
        # One key may stand there several times, with other families and times.
        self._publishers = [each for each in trust.publishers if each.fingerprint not in trust.revoked_keys]
        if not self._publishers:
            raise UsageError(
                "the trust file leaves nobody to trust", hint="get a newer one from the publisher"
            )
        self._verifier = Verifier(
            *(publisher.key for publisher in self._publishers),
            model=model,
            minimum_epoch=minimum_epoch,
            maximum_age=maximum_age,
            policies=policies,
            clock=clock,
            second=second,
        )

    @property
    def requires_signature(self) -> bool:
        """True: an unsigned bundle is refused."""
        return True

    @property
    def trust_file(self) -> TrustFile:
        """The trust file."""
        return self._trust

    def verify_statement(self, document: bytes, second: bytes | None = None) -> VerifiedStatement:
        """Verifies a signature document (OMS) and returns what it says; see `Verifier`.

        Raises:
            RefusedError: nobody of the trust file signed it, or the file has expired.
            MalformedError: not a signature document.
        """
        self._trust.check_time(self._verifier.now())
        try:
            return self._verifier.verify_statement(document, second)
        except UntrustedSignerError as error:
            if any(key in str(error) for key in self._trust.revoked_keys):
                raise UntrustedSignerError(
                    "signed by a key that is revoked", hint="get a newer release of the model"
                ) from None
            raise

    def check(self, manifest: Manifest, signer: str | None = None) -> None:
        """Applies the publisher's limits, the revocations, and the rules of `Verifier`.

        Raises:
            UntrustedSignerError: the signer may not sign this family, or not at that time.
            RefusedError: the bundle is revoked, or another rule refused.
        """
        self._trust.check_time(self.now(manifest.sealed_at))
        if manifest.bundle in self._trust.revoked_bundles:
            raise RefusedError(
                f"bundle {manifest.bundle.hex()} is revoked", hint="get a newer release of the model"
            )
        if not any(self._allows(publisher, manifest, signer) for publisher in self._publishers):
            raise UntrustedSignerError(
                f"{signer} may not sign family {manifest.family!r} at the time of sealing",
                hint="ask the publisher, or get a newer trust file",
            )
        self._verifier.check(manifest, signer)

    def now(self, *verified_times: int) -> int:
        """Returns the clock's time, or the newest of `verified_times` if the clock is behind."""
        return self._verifier.now(*verified_times)

    def no_earlier_than(self, moment: int) -> Self:
        """Returns the same verifier with a clock that never says less than `moment`; see `Verifier`."""
        late = copy.copy(self)
        late._verifier = self._verifier.no_earlier_than(moment)
        return late

    def _allows(self, publisher: Publisher, manifest: Manifest, signer: str | None) -> bool:
        return signer == f"key sha256:{publisher.fingerprint}" and publisher.may_sign(
            manifest.family, manifest.sealed_at
        )
