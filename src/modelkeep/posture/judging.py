"""Judging: evidence, question, roots, policy and time in; a verdict out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep.errors import KeepError, MalformedError, PostureError, RefusedError
from modelkeep.posture import certificates
from modelkeep.posture.android import findings as android_findings
from modelkeep.posture.android.chain import GOOGLE_ROOTS, verify_chain
from modelkeep.posture.android.revocations import Revocations
from modelkeep.posture.challenge import Asked, Challenge
from modelkeep.posture.evidence import Evidence
from modelkeep.posture.finding import Finding, claimed
from modelkeep.posture.policy import AllOf, Policy, refusals_of
from modelkeep.posture.tpm2.credential import make_credential, new_secret
from modelkeep.posture.tpm2.endorsement import verify_endorsement
from modelkeep.posture.tpm2.public_area import PublicArea
from modelkeep.posture.tpm2.verifier import TpmVerifier, attester_area, device_key_area
from modelkeep.posture.verdict import Facts, Verdict

_OWN_WORD = "the device says so of itself"


@dataclass(frozen=True, slots=True)
class Anchors:
    """Whom to believe about hardware.

    Attributes:
        tpm_makers: roots of TPM makers.
        android_roots: SHA-256 of the public keys that may end an Android chain.
        revocations: Google's list of what it took back; without one, what Android proves is only claimed.
    """

    tpm_makers: tuple[x509.Certificate, ...] = ()
    android_roots: Collection[bytes] = GOOGLE_ROOTS
    revocations: Revocations | None = None


def ask(origin: str, now: int, introduction: Evidence | None = None, anchors: Anchors | None = None) -> Asked:
    """Returns a question to a device.

    Args:
        origin: who asks, as the device knows it.
        now: seconds since 1970-01-01 UTC.
        introduction: what a device with a TPM sent without being asked; None for others.
        anchors: whom to believe; needed with an introduction.

    Raises:
        RefusedError: the introduction names a TPM that no maker vouches for.
        MalformedError: it is not in form.
    """
    challenge = Challenge.new(origin, now)
    if introduction is None or introduction.tpm is None:
        return Asked(challenge)
    tpm = introduction.tpm
    endorsement = PublicArea.parse(tpm.endorsement, "endorsement key")
    verify_endorsement(endorsement, tpm.certificates, (anchors or Anchors()).tpm_makers, now)
    names = {"device": device_key_area(tpm, introduction.device_key).name}
    if tpm.attester:
        names["attester"] = attester_area(tpm).name
    secrets = {what: new_secret() for what in names}
    credentials = {what: make_credential(endorsement, names[what], secrets[what]) for what in names}
    question = Challenge(challenge.nonce, origin, now, credentials)
    return Asked(question, secrets, names, endorsement.encoded)


def claimed_hardware(evidence: Evidence) -> str:
    """Returns which hardware a device says it is in, as verdicts name it; empty if it says nothing of it.

    Raises:
        MalformedError: the endorsement certificate cannot be read.
    """
    if evidence.tpm is None or not evidence.tpm.certificates:
        return ""
    leaf = certificates.parse(evidence.tpm.certificates[0], "endorsement certificate")
    return f"tpm:{certificates.fingerprint(leaf).hex()}"


def judge(document: bytes, asked: Asked | None, anchors: Anchors, policy: Policy, now: int) -> Verdict:
    """Returns what a device's evidence comes to.

    Args:
        document: the evidence document.
        asked: the question that it answers, which counts once: whoever asks forgets it now. None to look at
            evidence that nobody asked for, of which nothing is proven.
        anchors: whom to believe.
        policy: what the device must prove.
        now: seconds since 1970-01-01 UTC.
    """
    age = None if asked is None else now - asked.challenge.made_at
    try:
        evidence = Evidence.from_bytes(document)
    except KeepError as error:
        return Verdict(b"", "", (), age, (str(error),))
    try:
        hardware, findings = _findings(evidence, asked, anchors, now)
    except (RefusedError, MalformedError) as error:
        return Verdict(evidence.device_key, "", (), age, (str(error),))
    policies = policy.policies if isinstance(policy, AllOf) else (policy,)
    refusals = refusals_of(policies, Facts.of(findings, age))
    return Verdict(evidence.device_key, hardware, findings, age, refusals)


def _findings(
    evidence: Evidence, asked: Asked | None, anchors: Anchors, now: int
) -> tuple[str, tuple[Finding, ...]]:
    """Returns which hardware it is, and what was found."""
    if asked is not None and evidence.nonce != asked.challenge.nonce:
        raise PostureError("the evidence answers another question", hint="ask the device again")
    found = tuple(claimed(name, value, _OWN_WORD) for name, value in evidence.claims.items())
    hardware = ""
    if evidence.tpm is not None:
        tpm = TpmVerifier(evidence.tpm, evidence.device_key, asked).verify(anchors.tpm_makers, now)
        hardware = f"tpm:{tpm.identity}" if tpm.identity else ""
        found += tpm.findings
    if evidence.android:
        found += _android(evidence, asked, anchors, now)
    return hardware, found


def _android(evidence: Evidence, asked: Asked | None, anchors: Anchors, now: int) -> tuple[Finding, ...]:
    key = verify_chain(evidence.android, now, roots=anchors.android_roots, revocations=anchors.revocations)
    point = android_findings.device_key(key).public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if point != evidence.device_key:
        raise PostureError("the attestation is about another key than the device's")
    found = tuple(android_findings.findings_of(key.description))
    if asked is None:
        return _doubted(found, "no question was asked")
    if key.description.challenge != asked.challenge.for_new_key:
        raise PostureError("the key was attested for another question")
    if anchors.revocations is None:
        return _doubted(found, "no list of revoked attestation keys was looked at")
    return found


def _doubted(found: tuple[Finding, ...], why: str) -> tuple[Finding, ...]:
    return tuple(claimed(each.name, each.value, why) for each in found)
