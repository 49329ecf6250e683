"""Whom a device believes: keys and roots it trusts, and which releases it accepts from them."""

from __future__ import annotations

import copy
import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, Self

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import dsse, public_key
from modelkeep.errors import RefusedError, SignatureError, UntrustedSignerError, UsageError
from modelkeep.manifest import Manifest
from modelkeep.public_key import TrustedKey
from modelkeep.trust import certificates, oms, second_signature
from modelkeep.trust.certificates import CertificateRoots
from modelkeep.trust.policy import AllOf, ExpectModel, MaximumAge, MinimumEpoch, Policy, UnsafeAnyModel
from modelkeep.trust.second_signature import SecondKey
from modelkeep.trust.statement import Statement

if TYPE_CHECKING:
    from modelkeep.trust.trust_file import TrustFile

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class VerifiedStatement:
    """A statement and who stands behind it.

    Attributes:
        statement: what was signed.
        signer_id: ``key sha256:...`` (over the PEM form) or ``certificate '...'`` (its subject).
    """

    statement: Statement
    signer_id: str


class BundleVerifier(Protocol):
    """What reading a bundle needs to know about trust."""

    @property
    def requires_signature(self) -> bool:
        """Whether a bundle without signature is refused."""

    @property
    def trust_file(self) -> TrustFile | None:
        """The trust file that it believes, whose number devices remember; None where there is none."""

    def verify_statement(self, document: bytes, second: bytes | None = None) -> VerifiedStatement:
        """Returns what a signature document says, or raises RefusedError or MalformedError.

        `second` is the document with the second signature, for verifiers that demand one.
        """

    def check(self, manifest: Manifest, signer: str | None = None) -> None:
        """Raises RefusedError unless the release that `signer` (an id) describes is acceptable."""

    def now(self, *verified_times: int) -> int:
        """Returns the present time in seconds since 1970-01-01 UTC, never before `verified_times`."""

    def no_earlier_than(self, moment: int) -> BundleVerifier:
        """Returns the same verifier with a clock that never says less than `moment` (as for `now`)."""


class Verifier:
    """Accepts bundles of one model from trusted signers."""

    def __init__(
        self,
        *trusted: TrustedKey | CertificateRoots,
        model: str | UnsafeAnyModel,
        minimum_epoch: int = 0,
        maximum_age: datetime.timedelta | None = None,
        policies: Sequence[Policy] = (),
        clock: Clock = time.time,
        second: SecondKey | None = None,
    ) -> None:
        """Takes whom to trust and what to accept.

        Args:
            trusted: public keys (PEM bytes, path of a PEM file, key object) and certificate roots.
            model: the model id expected; `UnsafeAnyModel()` accepts every model of these signers.
            minimum_epoch: lowest epoch accepted.
            maximum_age: longest time since sealing.
            policies: further rules, all of which must accept.
            clock: present time in seconds since 1970-01-01 UTC.
            second: ML-DSA-65 public key whose second signature every bundle must have as well.

        Raises:
            StorageError: a key file cannot be read.
            UsageError: nobody is trusted, or an argument is not of its form.
        """
        if not trusted:
            raise UsageError("a verifier trusts somebody", hint="pass the publisher's public key")
        self._roots = tuple(item for item in trusted if isinstance(item, CertificateRoots))
        keys = [public_key.load(item) for item in trusted if not isinstance(item, CertificateRoots)]
        self._keys = {public_key.fingerprint(key): key for key in keys}
        age = () if maximum_age is None else (MaximumAge(maximum_age),)
        self._model = model if isinstance(model, str) else "any model"
        self._policy = AllOf(_expect(model), MinimumEpoch(minimum_epoch), *age, *policies)
        self._clock = clock
        self._second = None if second is None else second_signature.load_key(second)

    def __repr__(self) -> str:
        return (
            f"<Verifier of {self._model}: trusts {len(self._keys)} keys and {len(self._roots)} sets of roots>"
        )

    @property
    def requires_signature(self) -> bool:
        """True: an unsigned bundle is refused."""
        return True

    @property
    def trust_file(self) -> None:
        """None: keys and roots are named by the caller."""

    def verify_statement(self, document: bytes, second: bytes | None = None) -> VerifiedStatement:
        """Verifies a signature document (OMS), with the second signature where that is demanded.

        Raises:
            SignatureError: absent, broken, or over another kind of document.
            UntrustedSignerError: no trusted key or root stands behind it.
            ExpiredError: the signing certificate is outside its time.
            MalformedError: not a signature document.
        """
        if not document:
            raise SignatureError("the bundle is not signed", hint="seal it again with a signer")
        bundle = oms.parse(document)
        signer_id = self._verify_chain(bundle) if bundle.certificates else self._verify_key(bundle)
        if self._second is not None:
            second_signature.verify(second, self._second, bundle.payload)
        return VerifiedStatement(Statement.from_bytes(bundle.payload), signer_id)

    def check(self, manifest: Manifest, signer: str | None = None) -> None:
        """Applies model, epoch, age and further policies to a manifest whose digest is verified.

        Raises:
            RefusedError: the subclass says which rule refused.
        """
        self._policy(manifest, self.now(manifest.sealed_at))

    def now(self, *verified_times: int) -> int:
        """Returns the clock's time, or the newest of `verified_times` if the clock is behind."""
        return now(self._clock, *verified_times)

    def no_earlier_than(self, moment: int) -> Self:
        """Returns the same verifier with a clock that never says less than `moment`.

        Args:
            moment: seconds since 1970-01-01 UTC that have certainly passed, as a device remembers them.
        """
        late = copy.copy(self)
        late._clock = partial(now, self._clock, moment)
        return late

    def _verify_key(self, bundle: oms.OmsBundle) -> str:
        # The hint is not signed: it only chooses among keys that are trusted anyway.
        candidates = {name: key for name, key in self._keys.items() if bundle.hint in (None, name)}
        if not candidates:
            raise _untrusted(f"key sha256:{bundle.hint}" if bundle.hint else "a bare key")
        for name, key in candidates.items():
            if _verifies(key, bundle):
                return f"key sha256:{name}"
        raise SignatureError("the signature does not verify")

    def _verify_chain(self, bundle: oms.OmsBundle) -> str:
        leaf = bundle.certificates[0]
        key = certificates.signing_key(leaf)
        name = public_key.fingerprint(key)
        # A key that is trusted by itself needs no certificate.
        if name not in self._keys:
            self._check_chain(bundle)
        dsse.verify(key, bundle.signature, oms.PAYLOAD_TYPE, bundle.payload)
        return f"key sha256:{name}" if name in self._keys else f"certificate {certificates.name_of(leaf)}"

    def _check_chain(self, bundle: oms.OmsBundle) -> None:
        refusal: RefusedError = _untrusted(f"certificate {certificates.name_of(bundle.certificates[0])}")
        for roots in self._roots:
            try:
                return roots.check(bundle.certificates, self.now())
            except RefusedError as error:
                refusal = error
        raise refusal


class UnsafeUnsigned:
    """Accepts bundles from anyone, signed or not: for trying things out, never for devices."""

    def __init__(self, model: str | None = None) -> None:
        """Takes the model id to expect, or None for any.

        Raises:
            UsageError: not a model id.
        """
        self._policy = _expect(UnsafeAnyModel() if model is None else model)
        self._clock: Clock = time.time

    @property
    def requires_signature(self) -> bool:
        """False: an unsigned bundle is accepted."""
        return False

    @property
    def trust_file(self) -> None:
        """None: nobody is trusted."""

    def verify_statement(self, document: bytes, second: bytes | None = None) -> VerifiedStatement:
        """Returns what a signature document says without verifying who said it.

        Raises:
            SignatureError: a form that this version does not know.
            MalformedError: not a signature document.
        """
        return VerifiedStatement(Statement.from_bytes(oms.parse(document).payload), "nobody")

    def check(self, manifest: Manifest, signer: str | None = None) -> None:
        """Raises WrongModelError when a model is expected and this is another."""
        self._policy(manifest, 0)

    def now(self, *_verified_times: int) -> int:
        """Returns the system's time; the signed times of a bundle that anybody made mean nothing."""
        return now(self._clock)

    def no_earlier_than(self, moment: int) -> Self:
        """Returns the same verifier with a clock that never says less than `moment`."""
        late = copy.copy(self)
        late._clock = partial(now, self._clock, moment)
        return late


def now(clock: Clock, *verified_times: int) -> int:
    """Returns the present time in seconds since 1970-01-01 UTC.

    Devices without a battery-backed clock start in the past; a time that was signed by a
    trusted key has certainly been reached.

    Args:
        clock: the system's opinion.
        verified_times: signed times and persisted floors, verified before.
    """
    return max(int(clock()), *verified_times) if verified_times else int(clock())


def _expect(model: str | UnsafeAnyModel) -> Policy:
    return model if isinstance(model, UnsafeAnyModel) else ExpectModel(model)


def _verifies(key: ec.EllipticCurvePublicKey, bundle: oms.OmsBundle) -> bool:
    try:
        dsse.verify(key, bundle.signature, oms.PAYLOAD_TYPE, bundle.payload)
    except SignatureError:
        return False
    return True


def _untrusted(signer: str) -> UntrustedSignerError:
    return UntrustedSignerError(
        f"signed by {signer}, which is not trusted here",
        hint="check that this is the publisher you expect, then add its key or root to the verifier",
    )
