"""Whom a device believes: keys and roots it trusts, and which releases it accepts from them."""

from __future__ import annotations

import copy
import datetime
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import dsse, public_key
from modelkeep.clock import Clock, Reading
from modelkeep.errors import RefusedError, SignatureError, UntrustedSignerError, UsageError
from modelkeep.public_key import TrustedKey
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId
from modelkeep.trust import oms, second_signature, timestamps
from modelkeep.trust.bundle_verifier import VerifiedStatement
from modelkeep.trust.certificate_roots import CertificateRoots, load_certificates
from modelkeep.trust.policy import AllOf, MaximumAge, MinimumEpoch, Policy, UnsafeAnyModel, expecting
from modelkeep.trust.release import Release
from modelkeep.trust.second_signature import SecondKey
from modelkeep.trust.sigstore_identity import SigstoreVerifier
from modelkeep.trust.statement import Statement

if TYPE_CHECKING:
    from modelkeep.trust.certificates import CertificateSource
    from modelkeep.trust.roots_document import Keys
    from modelkeep.trust.ticket import VerifiedTicket
    from modelkeep.trust.trust_file import TrustFile


class Rules(TypedDict, total=False):
    """What may be asked of releases besides; see `Verifier`."""

    minimum_epoch: int
    maximum_age: datetime.timedelta | None
    policies: Sequence[Policy]
    clock: Clock | Reading
    second: SecondKey | None
    require_installed: bool
    time_authorities: CertificateSource | None


class Verifier:
    """Accepts bundles of one model from trusted signers."""

    def __init__(
        self,
        *trusted: TrustedKey | CertificateRoots | SigstoreVerifier,
        model: str | UnsafeAnyModel,
        minimum_epoch: int = 0,
        maximum_age: datetime.timedelta | None = None,
        policies: Sequence[Policy] = (),
        clock: Clock | Reading = time.time,
        second: SecondKey | None = None,
        require_installed: bool = False,
        time_authorities: CertificateSource | None = None,
    ) -> None:
        """Takes whom to trust and what to accept.

        Args:
            trusted: public keys (PEM bytes, path of a PEM file, key object), certificate roots, and
                verifiers of identities that Sigstore vouches for.
            model: the model id expected; `UnsafeAnyModel()` accepts every model of these signers.
            minimum_epoch: lowest epoch accepted.
            maximum_age: longest time since sealing.
            policies: further rules, all of which must accept.
            clock: present time in seconds since 1970-01-01 UTC.
            second: ML-DSA-65 public key whose second signature every bundle must have as well.
            require_installed: open installations only; bundles are there to be installed.
            time_authorities: roots of authorities whose timestamps count, as for `CertificateRoots`.

        Raises:
            StorageError: a key file cannot be read.
            UsageError: nobody is trusted, or an argument is not of its form.
        """
        if not trusted:
            raise UsageError("a verifier trusts somebody", hint="pass the publisher's public key")
        self._roots = tuple(item for item in trusted if isinstance(item, CertificateRoots))
        self._identities = tuple(item for item in trusted if isinstance(item, SigstoreVerifier))
        others = (CertificateRoots, SigstoreVerifier)
        keys = [public_key.load(item) for item in trusted if not isinstance(item, others)]
        self._keys = {public_key.fingerprint(key): key for key in keys}
        age = () if maximum_age is None else (MaximumAge(maximum_age),)
        self._model = model if isinstance(model, str) else "any model"
        self._policy = AllOf(expecting(model), MinimumEpoch(minimum_epoch), *age, *policies)
        self._clock = Clock.of(clock)
        self._second = None if second is None else second_signature.load_key(second)
        self._require_installed = require_installed
        self._authorities = load_certificates(time_authorities)
        self._trust: TrustFile | None = None

    @classmethod
    def from_trust_file(
        cls, trust: TrustFile, *, model: str | UnsafeAnyModel, **rules: Unpack[Rules]
    ) -> Self:
        """Returns the verifier that accepts bundles from the publishers of a trust file, within their limits.

        Args:
            trust: the verified trust file.
            model: the model id expected; `UnsafeAnyModel()` accepts every model of these publishers.
            rules: as for `Verifier`.

        Raises:
            UsageError: the trust file leaves nobody to trust, or an argument is not of its form.
        """
        from modelkeep.trust.trust_policy import WithinTrustFile, trusted_by

        rules["policies"] = (WithinTrustFile(trust), *rules.get("policies", ()))
        verifier = cls(*trusted_by(trust), model=model, **rules)
        verifier._trust = trust
        verifier._authorities += trust.authorities
        return verifier

    def __repr__(self) -> str:
        return (
            f"<Verifier of {self._model}: trusts {len(self._keys)} keys and {len(self._roots)} sets of roots>"
        )

    @property
    def requires_signature(self) -> bool:
        """True: an unsigned bundle is refused."""
        return True

    @property
    def require_installed(self) -> bool:
        """See `BundleVerifier.require_installed`."""
        return self._require_installed

    @property
    def trust(self) -> TrustFile | None:
        """The trust file; None where keys and roots are named by the caller."""
        return self._trust

    @property
    def clock(self) -> Clock:
        """See `BundleVerifier.clock`."""
        return self._clock

    @property
    def void(self) -> frozenset[bytes]:
        """See `BundleVerifier.void`."""
        return frozenset() if self._trust is None else self._trust.void

    @property
    def revoked_keys(self) -> frozenset[str]:
        """See `BundleVerifier.revoked_keys`."""
        return frozenset() if self._trust is None else frozenset(self._trust.revoked_keys)

    def verify_statement(self, document: bytes, second: bytes | None = None) -> VerifiedStatement:
        """Verifies a signature document (OMS), with the second signature where that is demanded.

        Raises:
            SignatureError: absent, broken, or over another kind of document.
            UntrustedSignerError: no trusted key or root stands behind it.
            ExpiredError: the signing certificate is outside its time.
            MalformedError: not a signature document.
        """
        if self._trust is not None:
            self._trust.check_time(self._clock.for_ends())
        if not document:
            raise SignatureError("the bundle is not signed", hint="seal it again with a signer")
        bundle = oms.parse(document)
        if bundle.by_identity:
            return self._verify_identity(document, second)
        signed_at = timestamps.earliest(bundle.timestamps, bundle.signature, self._authorities)
        signer = self._verify_chain(bundle, signed_at) if bundle.certificates else self._verify_key(bundle)
        self._verify_second(second, bundle.payload)
        return VerifiedStatement(Statement.from_bytes(bundle.payload), signer, signed_at)

    def accept(self, release: Release) -> None:
        """Applies trust file, model, epoch, age and further policies to a release whose signature holds.

        Raises:
            RefusedError: the subclass says which rule refused.
        """
        self._clock.witnessing(release.signed_at).check_sealed_at(release.manifest.sealed_at)
        self._policy(release)

    def vouches(self, model: str, signer: SignerId) -> bool:
        """See `BundleVerifier.vouches`."""
        if self._trust is not None:
            return self._trust.vouches(model, signer)
        return (
            signer.key.hex() in self._keys
            or any(roots.vouches(signer) for roots in self._roots)
            or any(identities.vouches(signer) for identities in self._identities)
        )

    def floor(self, model: str) -> ReleaseOrder | None:
        """See `BundleVerifier.floor`."""
        return None if self._trust is None else self._trust.floors.get(model)

    def verify_ticket(self, data: bytes) -> VerifiedTicket:
        """See `BundleVerifier.verify_ticket`."""
        # Tickets are rare, and so is what reads them.
        from modelkeep.trust.envelope import Envelope, Kind
        from modelkeep.trust.roots_document import fingerprints
        from modelkeep.trust.ticket import Ticket, VerifiedTicket

        envelope = Envelope.from_bytes(data, Kind.TICKET)
        keys, threshold = self._ticket_signers()
        signers = envelope.check_signed(keys, threshold)
        return VerifiedTicket(Ticket.from_bytes(envelope.payload), fingerprints(signers))

    def no_earlier_than(self, moment: int) -> Self:
        """See `BundleVerifier.no_earlier_than`."""
        late = copy.copy(self)
        late._clock = self._clock.no_earlier_than(moment)
        return late

    def narrowed(self, policy: Policy, moment: int | None = None) -> Self:
        """Returns the same verifier with one rule more, to which somebody has said the time besides.

        Args:
            policy: the rule.
            moment: seconds since 1970-01-01 UTC that have passed, as somebody signed; or None.
        """
        narrow = copy.copy(self)
        narrow._policy = AllOf(self._policy, policy)
        narrow._clock = self._clock.witnessing(moment)
        return narrow

    def _ticket_signers(self) -> tuple[Keys, int]:
        if self._trust is None:
            return self._keys, 1
        if self._trust.roots is None:
            raise SignatureError("the trust file was not verified with roots, who sign tickets")
        return self._trust.roots.keys, self._trust.roots.threshold

    def _verify_identity(self, document: bytes, second: bytes | None) -> VerifiedStatement:
        refusal: RefusedError = self._untrusted("an identity of Sigstore", None)
        for identities in self._identities:
            try:
                found = identities.verify_statement(document)
            except RefusedError as error:
                refusal = error
                continue
            # What Sigstore's library read counts, and nothing that was read here.
            self._verify_second(second, found.payload)
            return VerifiedStatement(found.statement, found.signer.signed_with(found.key))
        raise refusal

    def _verify_second(self, second: bytes | None, payload: bytes) -> None:
        if self._second is not None:
            second_signature.verify(second, self._second, payload)

    def _verify_key(self, bundle: oms.OmsBundle) -> SignerId:
        # The hint is not signed: it only chooses among keys that are trusted anyway.
        candidates = {name: key for name, key in self._keys.items() if bundle.hint in (None, name)}
        if not candidates:
            raise self._untrusted(f"key sha256:{bundle.hint}" if bundle.hint else "a bare key", bundle.hint)
        for name, key in candidates.items():
            if _verifies(key, bundle):
                return SignerId(bytes.fromhex(name))
        raise SignatureError("the signature does not verify")

    def _verify_chain(self, bundle: oms.OmsBundle, signed_at: int | None) -> SignerId:
        from modelkeep.trust.certificates import signing_key

        key = signing_key(bundle.certificates[0])
        name = public_key.fingerprint(key)
        # A key that is trusted by itself needs no certificate.
        trusted = name in self._keys
        signer = SignerId(bytes.fromhex(name)) if trusted else self._check_chain(bundle, name, signed_at)
        dsse.verify(key, bundle.signature, oms.PAYLOAD_TYPE, bundle.payload)
        return signer

    def _check_chain(self, bundle: oms.OmsBundle, key: str, signed_at: int | None) -> SignerId:
        from modelkeep.trust.certificates import name_of

        moment = self._clock.for_ends() if signed_at is None else signed_at
        who = f"certificate {name_of(bundle.certificates[0])}"
        refusal: RefusedError = self._untrusted(who, key)
        for roots in self._roots:
            try:
                return roots.check(bundle.certificates, moment)
            except RefusedError as error:
                refusal = error
        raise refusal

    def _untrusted(self, who: str, key: str | None) -> UntrustedSignerError:
        if self._trust is not None and key in self._trust.revoked_keys:
            return UntrustedSignerError(
                "signed by a key that is revoked", hint="get a newer release of the model"
            )
        return UntrustedSignerError(
            f"signed by {who}, which is not trusted here",
            hint="check that this is the publisher you expect, then add its key or root to the verifier",
        )


def _verifies(key: ec.EllipticCurvePublicKey, bundle: oms.OmsBundle) -> bool:
    try:
        dsse.verify(key, bundle.signature, oms.PAYLOAD_TYPE, bundle.payload)
    except SignatureError:
        return False
    return True
