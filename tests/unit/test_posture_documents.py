"""Evidence documents and questions: written, read, refused."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep import canonical
from modelkeep.errors import MalformedError, UnsupportedVersionError, UsageError
from modelkeep.posture.challenge import Asked, Challenge
from modelkeep.posture.evidence import Evidence
from modelkeep.posture.judging import Anchors, ask, judge
from modelkeep.posture.policy import UnsafeNoPolicy
from modelkeep.posture.tpm2.attest import Signed
from modelkeep.posture.tpm2.credential import Credential
from modelkeep.posture.tpm2.evidence import TpmEvidence

POINT = (
    ec.derive_private_key(7, ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)
CHALLENGE = Challenge(bytes(32), "acme", 1_800_000_000, {"device": Credential(b"blob", b"seed")})
EVIDENCE = Evidence(
    POINT,
    bytes(32),
    TpmEvidence(
        b"device",
        b"endorsement",
        (b"certificate",),
        b"attester",
        {"device": bytes(32)},
        quoted=Signed(b"attested", b"signature"),
        pcrs={7: bytes(32), 0: bytes(32)},
        log=b"log",
    ),
    (b"key", b"root"),
    {"swap": False, "names": ("a", "b"), "level": 3, "maker": "acme"},
)


def test_documents_come_back_as_they_were() -> None:
    assert Evidence.from_bytes(EVIDENCE.to_bytes()) == EVIDENCE
    assert Evidence.from_bytes(Evidence(POINT).to_bytes()) == Evidence(POINT)
    assert Challenge.from_bytes(CHALLENGE.to_bytes()) == CHALLENGE
    asked = Asked(CHALLENGE, {"device": bytes(32)}, {"device": b"name"}, b"endorsement")
    assert Asked.from_bytes(asked.to_bytes()) == asked


def changed(**members: Any) -> bytes:
    return canonical.encode(canonical.decode(EVIDENCE.to_bytes(), "evidence") | members)


@pytest.mark.parametrize(
    "members",
    [
        {"format": "modelkeep/grant"},
        {"device_key": "AAAA"},
        {"device_key": "BAAA" + "A" * 84},
        {"nonce": "00"},
        {"claims": []},
        {"claims": {"a": None}},
        {"claims": {"a": [1]}},
        {"claims": {str(place): 1 for place in range(65)}},
        {"android": ["!"]},
        {"android": ["AAAA"] * 17},
        {"tpm2": {}},
        {"more": 1},
    ],
)
def test_other_documents_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        Evidence.from_bytes(changed(**members))
    verdict = judge(changed(**members), None, Anchors(), UnsafeNoPolicy(), 0)
    assert len(verdict.refusals) == 1


def test_newer_documents_are_told_apart() -> None:
    with pytest.raises(UnsupportedVersionError):
        Evidence.from_bytes(changed(version=2))


def test_questions_have_a_form() -> None:
    with pytest.raises(UsageError, match="nonce"):
        Challenge(b"", "acme", 0)
    with pytest.raises(UsageError, match="origin"):
        Challenge(bytes(32), "", 0)
    document = canonical.decode(CHALLENGE.to_bytes(), "challenge")
    bad: list[dict[str, Any]] = [{"origin": ""}, {"credentials": {"other": {}}}, {"made_at": -1}]
    for members in bad:
        with pytest.raises(MalformedError):
            Challenge.from_bytes(canonical.encode(document | members))
    with pytest.raises(MalformedError):
        Challenge.from_bytes(bytes(20_000))


def test_questions_differ_in_all_that_they_are_about() -> None:
    other = Challenge(bytes(32), "acm", 1_800_000_000)
    assert CHALLENGE.for_key(b"e" + POINT) != other.for_key(b"ee" + POINT)
    assert CHALLENGE.for_key(POINT) != CHALLENGE.for_new_key
    assert ask("acme", 0).challenge.nonce != ask("acme", 0).challenge.nonce
    assert ask("acme", 0, Evidence(POINT)).secrets == {}
