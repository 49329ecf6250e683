"""Readers of what devices show, with good documents for them; joined to the others in `fuzz_readers`."""

from __future__ import annotations

import contextlib
import plistlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep.errors import PostureError
from modelkeep.posture import policy_file
from modelkeep.posture.android.findings import findings_of
from modelkeep.posture.android.key_description import KeyDescription
from modelkeep.posture.android.revocations import Revocations
from modelkeep.posture.apple import cms, resources
from modelkeep.posture.apple.code import verify_code
from modelkeep.posture.challenge import Asked, Challenge
from modelkeep.posture.evidence import Evidence
from modelkeep.posture.finding import claimed
from modelkeep.posture.judging import Anchors, judge
from modelkeep.posture.policy import UnsafeNoPolicy
from modelkeep.posture.tpm2 import attest, event_log
from modelkeep.posture.tpm2.attest import Kind, Signed
from modelkeep.posture.tpm2.evidence import TpmEvidence
from modelkeep.posture.tpm2.public_area import PublicArea
from modelkeep.posture.verdict import Facts
from modelkeep.verity.statement import Image, VerityStatement
from support.android_keys import NOW as ANDROID_NOW
from support.android_keys import Maker, description
from support.apple_signer import NOW as CODE_NOW
from support.apple_signer import AppleSigner, fat
from support.event_logs import IPL, SEPARATOR, event
from support.event_logs import event_log as log_of
from support.tpm_structures import NOW, PaperTpm

TPM = PaperTpm()
CODE_SIGNER = AppleSigner()
ASKED = TPM.ask()
TPM_ANSWER = TPM.answer(ASKED)
TPM_PARTS = ("device", "endorsement", "attester", "certificates", "certified", "quoted", "log")
PHONE = Maker()
PHONE_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
PHONE_ASKED = Asked(Challenge(bytes(32), "acme", ANDROID_NOW))

POLICY = b"""format = "modelkeep/posture-policy"
version = 1
maximum-age = 60
[prove]
key-protection = ["tpm", "tee"]
os-patch-level = { minimum = 202605 }
[[any]]
claim = { secure-boot = true }
"""


def judge_tpm(data: bytes) -> None:
    """Judges evidence of a TPM; nothing but a verdict comes of it."""
    judge(data, ASKED, TPM.anchors, UnsafeNoPolicy(), NOW)


def judge_tpm_part(data: bytes) -> None:
    """Judges good evidence of a TPM with one part exchanged, which the first byte chooses."""
    if data:
        name = TPM_PARTS[data[0] % len(TPM_PARTS)]
        changed = replace(TPM_ANSWER, tpm=_with_part(name, data[1:]))
        judge(changed.to_bytes(), ASKED, TPM.anchors, UnsafeNoPolicy(), NOW)


def judge_phone(data: bytes) -> None:
    """Judges evidence of a phone; nothing but a verdict comes of it."""
    anchors = Anchors(android_roots={PHONE.fingerprint}, revocations=Revocations(frozenset()))
    judge(data, PHONE_ASKED, anchors, UnsafeNoPolicy(), ANDROID_NOW)


def read_evidence(data: bytes) -> None:
    """Reads an evidence document and writes it back."""
    evidence = Evidence.from_bytes(data)
    assert evidence.to_bytes() == data or b'"ext":{' in data


def read_challenge(data: bytes) -> None:
    """Reads a question and writes it back."""
    challenge = Challenge.from_bytes(data)
    assert challenge.to_bytes() == data or b'"ext":{' in data


def read_key_description(data: bytes) -> None:
    """Reads an attestation extension, and what it says."""
    list(findings_of(KeyDescription.parse(data)))


def read_event_log(data: bytes) -> None:
    """Reads and replays an event log."""
    events = event_log.parse(data)
    event_log.explained(events, event_log.replay(events))
    event_log.secure_boot(events)


def read_public_area(data: bytes) -> None:
    """Reads a TPM's public area."""
    assert len(PublicArea.parse(data, "public area").name) in (34, 50, 66)


def read_statement(data: bytes) -> None:
    """Reads what a TPM signed, as if it had signed anything."""
    kind = Kind.QUOTE if data[4:6] == Kind.QUOTE.to_bytes(2) else Kind.CERTIFY
    statement = attest.read(data, kind, ASKED.challenge.for_key(TPM.point))
    with contextlib.suppress(PostureError):
        if kind is Kind.QUOTE:
            attest.check_quoted(statement, {0: bytes(32)})
        else:
            attest.check_certified(statement, b"name")


def read_posture_policy(data: bytes) -> None:
    """Reads a policy and applies it."""
    policy = policy_file.parse(data)
    with contextlib.suppress(PostureError):
        policy(Facts.of((claimed("secure-boot", True),), 1))


def read_verity(data: bytes) -> None:
    """Reads what is signed of a file and writes it back."""
    statement = VerityStatement.from_bytes(data)
    assert statement.to_bytes() == data or b'"ext":{' in data


def read_code(data: bytes) -> None:
    """Verifies code that Apple's tools signed, or somebody else."""
    verify_code(memoryview(data), CODE_NOW, roots=CODE_SIGNER.roots)


def read_cms(data: bytes) -> None:
    """Reads a signature in CMS form."""
    signed = cms.parse(data)
    signed.check(b"", hashes_allowed=frozenset({"sha256"}))
    if signed.timestamp:
        cms.token_info(cms.parse(signed.timestamp))


def read_resources(data: bytes) -> None:
    """Reads a list of resources."""
    resources.parse(data)


def read_revocations(data: bytes) -> None:
    """Reads a list of what was taken back."""
    Revocations.parse(data)


READERS: Mapping[str, Callable[[bytes], None]] = {
    "evidence": read_evidence,
    "evidence of a tpm": judge_tpm,
    "part of a tpm's evidence": judge_tpm_part,
    "evidence of a phone": judge_phone,
    "challenge": read_challenge,
    "key description": read_key_description,
    "event log": read_event_log,
    "public area": read_public_area,
    "tpm statement": read_statement,
    "posture policy": read_posture_policy,
    "revocation list": read_revocations,
    "verity statement": read_verity,
    "apple code": read_code,
    "apple cms": read_cms,
    "apple resources": read_resources,
}


def good_documents() -> Mapping[str, Sequence[bytes]]:
    """Returns good documents for every reader here."""
    answer = TPM_ANSWER
    assert answer.tpm is not None
    assert answer.tpm.quoted is not None
    assert answer.tpm.certified is not None
    phone = _phone()
    noise = random.Random(7)
    log = log_of(
        [event(pcr, IPL, noise.randbytes(pcr)) for pcr in range(8)] + [event(7, SEPARATOR, bytes(4))]
    )
    return {
        "evidence": [answer.to_bytes(), phone],
        "evidence of a tpm": [answer.to_bytes(), TPM.introduction().to_bytes()],
        "part of a tpm's evidence": [bytes([at]) + _part(name) for at, name in enumerate(TPM_PARTS)],
        "evidence of a phone": [phone],
        "challenge": [ASKED.challenge.to_bytes(), PHONE_ASKED.challenge.to_bytes()],
        "key description": [description(b"question"), description(b"", level=2)],
        "event log": [log, answer.tpm.log],
        "public area": [answer.tpm.device, answer.tpm.endorsement, answer.tpm.attester],
        "tpm statement": [answer.tpm.quoted.attested, answer.tpm.certified.attested],
        "posture policy": [POLICY],
        "apple code": [CODE_SIGNER.sign(b"c" * 5000, stamp=CODE_NOW), fat(CODE_SIGNER.sign(b""))],
        "apple cms": [CODE_SIGNER.cms(b"", CODE_NOW)],
        "apple resources": [plistlib.dumps({"files2": {"a": {"hash2": bytes(32)}, "b": {"symlink": "a"}}})],
        "verity statement": [
            VerityStatement(4096, bytes(32), Image(bytes(32), b"salt", UUID(int=7))).to_bytes(),
            VerityStatement(1, bytes(32), None).to_bytes(),
        ],
        "revocation list": [b'{"entries": {"0a": {"status": "REVOKED"}, "ff": {"status": "SUSPENDED"}}}'],
    }


def _part(name: str) -> bytes:
    assert TPM_ANSWER.tpm is not None
    part = getattr(TPM_ANSWER.tpm, name)
    if isinstance(part, tuple):
        return bytes(part[0])
    return bytes(part if isinstance(part, bytes) else part.attested)


def _with_part(name: str, data: bytes) -> TpmEvidence:
    assert TPM_ANSWER.tpm is not None
    part: Any = getattr(TPM_ANSWER.tpm, name)
    if isinstance(part, Signed):
        changed: Any = replace(part, attested=data)
    else:
        changed = (data, *part[1:]) if isinstance(part, tuple) else data
    return replace(TPM_ANSWER.tpm, **{name: changed})


def _phone() -> bytes:
    point = PHONE_KEY.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    chain = PHONE.attest(PHONE_KEY, description(PHONE_ASKED.challenge.for_new_key))
    return Evidence(point, PHONE_ASKED.challenge.nonce, android=tuple(chain)).to_bytes()
