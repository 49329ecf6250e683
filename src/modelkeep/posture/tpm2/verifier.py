"""What the evidence of a TPM proves about a device's key and about how the device started.

The endorsement key's certificate says which TPM. A credential that only this TPM opens, and only while it
holds a key of that name, ties the device's key to it, or the attesting key, which then vouches for the
device's key. A quote counts if its key is tied to the same TPM: honest quotes of others are of no use.
Source: spec/posture-v1.md section 5.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep.errors import PostureError
from modelkeep.posture.challenge import Asked
from modelkeep.posture.finding import Finding, FindingValue, Standing, claimed, proven
from modelkeep.posture.tpm2 import attest, event_log
from modelkeep.posture.tpm2.attest import Kind, Signed, Statement
from modelkeep.posture.tpm2.endorsement import Endorsement, verify_endorsement
from modelkeep.posture.tpm2.evidence import TpmEvidence
from modelkeep.posture.tpm2.public_area import BOUND, Algorithm, Attribute, PublicArea

DEVICE_ATTRIBUTES = BOUND | Attribute.ADMIN_WITH_POLICY | Attribute.DECRYPT
ATTESTER_ATTRIBUTES = (
    BOUND | Attribute.USER_WITH_AUTH | Attribute.NO_DA | Attribute.RESTRICTED | Attribute.SIGN
)

_NO_QUESTION = "no question was asked"


@dataclass(frozen=True, slots=True)
class ProvenTpm:
    """What evidence of a TPM comes to.

    Attributes:
        identity: SHA-256 of the endorsement key, in hexadecimal; empty where no maker vouches for it.
        findings: what was found.
    """

    identity: str
    findings: tuple[Finding, ...]


def device_key_area(evidence: TpmEvidence, device_key: bytes) -> PublicArea:
    """Returns the public area of the device's key: bound to its TPM, for key agreement only.

    Args:
        evidence: what was sent.
        device_key: the device's public key (65 bytes, uncompressed point).

    Raises:
        MalformedError: not a public area.
        PostureError: of another key, or of one that may leave the TPM or be used without its policy.
    """
    area = PublicArea.parse(evidence.device, "device key")
    if _point(area) != device_key:
        raise PostureError("the TPM's evidence is about another key than the device's")
    if area.attributes & ~Attribute.NO_DA != DEVICE_ATTRIBUTES:
        raise PostureError("the device's key may leave the TPM, or be used without its policy")
    if (area.scheme, area.scheme_hash) != (Algorithm.ECDH, Algorithm.SHA256):
        raise PostureError("the device's key is not one for key agreement")
    if area.name_algorithm != Algorithm.SHA256 or len(area.policy) != 32:
        raise PostureError("the device's key has no policy")
    return area


def attester_area(evidence: TpmEvidence) -> PublicArea:
    """Returns the public area of the attesting key, which signs nothing but what the TPM itself says.

    Raises:
        MalformedError: not a public area.
        PostureError: of a key that would sign anything, or could leave the TPM.
    """
    area = PublicArea.parse(evidence.attester, "attesting key")
    if area.attributes != ATTESTER_ATTRIBUTES:
        raise PostureError("the attesting key signs more than a TPM's own statements")
    if (area.scheme, area.scheme_hash) != (Algorithm.ECDSA, Algorithm.SHA256) or not _on_p256(area):
        raise PostureError("the attesting key is not one for ECDSA with SHA-256 on P-256")
    return area


class TpmVerifier:
    """Judges the evidence of one TPM against one question."""

    def __init__(self, evidence: TpmEvidence, device_key: bytes, asked: Asked | None) -> None:
        self._evidence = evidence
        self._asked = asked
        self._device_key = device_key
        self._device = device_key_area(evidence, device_key)
        self._attester = attester_area(evidence) if evidence.attester else None

    def verify(self, roots: Collection[x509.Certificate], now: int) -> ProvenTpm:
        """Returns what is proven, and what is only claimed.

        Args:
            roots: makers of TPMs that are believed.
            now: seconds since 1970-01-01 UTC.

        Raises:
            RefusedError: something that was sent as a proof does not hold.
            MalformedError: something is not of its form.
        """
        endorsement = self._endorsement(roots, now)
        trusted = self._attester_holds(endorsement)
        held, why = self._device_key_holds(endorsement, trusted)
        standing = Standing.PROVEN if held else Standing.CLAIMED
        findings = [Finding("key-protection", "tpm", standing, why)]
        findings.append(Finding("key-policy", self._device.policy.hex(), standing, why))
        findings += self._maker(endorsement, held)
        findings += self._state(held and trusted)
        return ProvenTpm(endorsement.identity.hex() if endorsement and held else "", tuple(findings))

    def _endorsement(self, roots: Collection[x509.Certificate], now: int) -> Endorsement | None:
        evidence = self._evidence
        if not evidence.certificates or not roots:
            return None
        public = PublicArea.parse(evidence.endorsement, "endorsement key")
        return verify_endorsement(public, evidence.certificates, roots, now)

    def _opened(self, endorsement: Endorsement | None, what: str, area: PublicArea | None) -> bool:
        """Returns whether the TPM opened a credential that is bound to an object of its own."""
        asked, answer = self._asked, self._evidence.opened.get(what)
        if asked is None or endorsement is None or area is None or answer is None:
            return False
        if what not in asked.secrets or asked.endorsement != endorsement.public.encoded:
            return False
        if asked.names[what] != area.name or not hmac.compare_digest(answer, asked.secrets[what]):
            raise PostureError(
                "the TPM did not open the credential for this key: it is in another TPM, or in none"
            )
        return True

    def _attester_holds(self, endorsement: Endorsement | None) -> bool:
        return self._opened(endorsement, "attester", self._attester)

    def _device_key_holds(self, endorsement: Endorsement | None, trusted: bool) -> tuple[bool, str]:
        """Returns whether the device's key is in the TPM, and in words why or why not."""
        if self._opened(endorsement, "device", self._device):
            return True, "the TPM opened a credential bound to the key"
        vouched = [*self._vouched("certified", Kind.CERTIFY, attest.check_certified)]
        vouched += self._vouched("created", Kind.CREATION, attest.check_created)
        if trusted and vouched:
            return True, f"the TPM {vouched[0]} the key"
        return False, self._doubt(endorsement)

    def _vouched(self, what: str, kind: Kind, check: Callable[[Statement, bytes], None]) -> Iterator[str]:
        signed: Signed | None = getattr(self._evidence, what)
        if signed is not None and self._asked is not None:
            check(self._statement(signed, kind), self._device.name)
            yield what

    def _statement(self, signed: Signed, kind: Kind) -> Statement:
        if self._attester is None or self._asked is None:
            raise PostureError("the TPM's statement comes without the key that signed it")
        key = self._attester.key
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return attest.verify(signed, key, kind, self._asked.challenge.for_key(self._device_key))

    def _doubt(self, endorsement: Endorsement | None) -> str:
        if self._asked is None:
            return _NO_QUESTION
        if endorsement is None:
            return "no maker that is believed vouches for the TPM"
        return "the TPM has not shown that it holds the key"

    def _maker(self, endorsement: Endorsement | None, held: bool) -> Iterator[Finding]:
        for name, value in ({} if endorsement is None else endorsement.maker).items():
            yield proven(name, value) if held else claimed(name, value)

    def _state(self, bound: bool) -> Iterator[Finding]:
        evidence = self._evidence
        events = event_log.parse(evidence.log) if evidence.log else ()
        make = self._quoted() if evidence.quoted is not None and self._asked is not None else None
        if make is None or not bound:
            yield from _values(
                evidence, events, lambda name, value: claimed(name, value, self._why_claimed())
            )
            return
        yield from _values(evidence, events, proven)
        yield proven("tpm-firmware", f"{make.clock.firmware:x}")
        yield proven("tpm-resets", make.clock.resets)

    def _quoted(self) -> Statement:
        assert self._evidence.quoted is not None
        statement = self._statement(self._evidence.quoted, Kind.QUOTE)
        attest.check_quoted(statement, self._evidence.pcrs)
        return statement

    def _why_claimed(self) -> str:
        if self._evidence.quoted is None:
            return "not quoted"
        return "quoted by a key that is not tied to the TPM of the device's key"


def _values(
    evidence: TpmEvidence,
    events: tuple[event_log.Event, ...],
    make: Callable[[str, FindingValue], Finding],
) -> Iterator[Finding]:
    for index, value in sorted(evidence.pcrs.items()):
        yield make(f"pcr-{index}", value.hex())
    explained = event_log.explained(events, evidence.pcrs)
    if explained:
        yield make("explained-pcrs", tuple(map(str, explained)))
    if 7 in explained and (on := event_log.secure_boot(events)) is not None:
        yield make("secure-boot", on)


def _point(area: PublicArea) -> bytes:
    if not isinstance(area.key, ec.EllipticCurvePublicKey) or not _on_p256(area):
        raise PostureError("the device's key is not on P-256")
    return area.key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _on_p256(area: PublicArea) -> bool:
    return isinstance(area.key, ec.EllipticCurvePublicKey) and isinstance(area.key.curve, ec.SECP256R1)
