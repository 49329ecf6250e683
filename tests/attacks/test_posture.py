"""A prover who lies: what a device says of itself, and attestations of Android that are not about it."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from modelkeep.posture.android.revocations import Revocations
from modelkeep.posture.challenge import Asked, Challenge
from modelkeep.posture.evidence import Evidence
from modelkeep.posture.finding import FindingValue
from modelkeep.posture.judging import Anchors, judge
from modelkeep.posture.policy import AllOf, Claim, MaximumAge, Policy, Prove, ProveAtLeast
from modelkeep.posture.verdict import Verdict
from support import android_keys
from support.android_keys import AGREE_KEY, ATTEST_KEY, NOW, SIGN, Maker, description, hardware_list

DEVICE = ec.generate_private_key(ec.SECP256R1())
POINT = DEVICE.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
LOCKED = AllOf(
    MaximumAge(600),
    Prove("key-protection", ("tee", "strongbox")),
    Prove("boot-state", ("verified",)),
    Prove("boot-locked", (True,)),
    ProveAtLeast("os-patch-level", 202604),
)


@pytest.fixture(scope="module")
def maker() -> Maker:
    """A maker of phones."""
    return Maker()


@pytest.fixture
def asked() -> Asked:
    """A question to a phone."""
    return Asked(Challenge.new("acme", NOW))


def anchors(maker: Maker, revoked: frozenset[str] = frozenset()) -> Anchors:
    return Anchors(android_roots={maker.fingerprint}, revocations=Revocations(revoked))


def evidence(asked: Asked, chain: list[bytes], point: bytes = POINT) -> bytes:
    return Evidence(point, asked.challenge.nonce, android=tuple(chain)).to_bytes()


def attested(maker: Maker, asked: Asked, **said: object) -> list[bytes]:
    extension = description(asked.challenge.for_new_key, **said)  # type: ignore[arg-type]
    return maker.attest(DEVICE.public_key(), extension)


def judged(maker: Maker, asked: Asked, chain: list[bytes], policy: Policy = LOCKED) -> Verdict:
    return judge(evidence(asked, chain), asked, anchors(maker), policy, NOW + 9)


def test_an_honest_phone_is_accepted(maker: Maker, asked: Asked) -> None:
    judged(maker, asked, attested(maker, asked)).require()


def test_green_properties_that_a_device_prints_are_no_proof(maker: Maker, asked: Asked) -> None:
    said: dict[str, FindingValue] = {
        "boot-state": "verified",
        "boot-locked": True,
        "os-patch-level": 209912,
        "key-protection": "tee",
    }
    document = Evidence(POINT, asked.challenge.nonce, claims=said).to_bytes()
    verdict = judge(document, asked, anchors(maker), LOCKED, NOW)
    assert [refusal.split(" is ")[1].split(":")[0] for refusal in verdict.refusals] == ["only claimed"] * 4
    # As what they are, claims, they are there.
    assert judge(document, asked, anchors(maker), Claim("boot-state", ("verified",)), NOW).accepted


def test_a_claim_does_not_cover_what_is_proven(maker: Maker, asked: Asked) -> None:
    chain = attested(maker, asked, hardware=hardware_list(root=android_keys.root_of_trust(state=2)))
    document = Evidence(
        POINT, asked.challenge.nonce, android=tuple(chain), claims={"boot-state": "verified"}
    ).to_bytes()
    verdict = judge(document, asked, anchors(maker), LOCKED, NOW)
    assert verdict.refusals == ("boot-state is unverified, not verified",)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"hardware": hardware_list(root=android_keys.root_of_trust(locked=b"\0"))}, "boot-locked is no"),
        ({"hardware": hardware_list(patch=202603)}, "os-patch-level is 202603, below 202604"),
        ({"hardware": hardware_list(purposes=(AGREE_KEY, SIGN))}, "something else than key agreement"),
        ({"hardware": hardware_list(purposes=(SIGN,))}, "something else than key agreement"),
        ({"hardware": hardware_list(origin=2)}, "not made inside"),
        ({"level": 0}, "kept by software"),
    ],
)
def test_a_phone_that_is_not_as_demanded_is_refused(
    maker: Maker, asked: Asked, said: dict[str, object], why: str
) -> None:
    verdict = judged(maker, asked, attested(maker, asked, **said))
    assert why in "; ".join(verdict.refusals)


def test_a_root_of_trust_that_software_wrote_is_no_proof(maker: Maker, asked: Asked) -> None:
    hardware = hardware_list()
    root = hardware.pop(704)
    software = dict(sorted((android_keys.software_list() | {704: root}).items()))
    verdict = judged(maker, asked, attested(maker, asked, hardware=hardware, software=software))
    assert "boot-state is not shown" in verdict.refusals


def test_an_attestation_for_another_question_is_refused(maker: Maker, asked: Asked) -> None:
    earlier = Asked(Challenge.new("acme", NOW))
    for other in (earlier, Asked(Challenge(asked.challenge.nonce, "somebody else", NOW))):
        verdict = judged(maker, asked, attested(maker, other))
        assert verdict.refusals == ("the key was attested for another question",)
    replayed = evidence(earlier, attested(maker, earlier))
    verdict = judge(replayed, asked, anchors(maker), LOCKED, NOW)
    assert verdict.refusals == ("the evidence answers another question",)


def test_the_attestation_of_another_key_is_refused(maker: Maker, asked: Asked) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = other.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    document = evidence(asked, attested(maker, asked), point)
    verdict = judge(document, asked, anchors(maker), LOCKED, NOW)
    assert verdict.refusals == ("the attestation is about another key than the device's",)


def test_the_chain_of_an_attestation_key_that_leaked_is_refused(maker: Maker, asked: Asked) -> None:
    chain = attested(maker, asked)
    leaked = x509.load_der_x509_certificate(chain[1])
    revoked = frozenset({f"{leaked.serial_number:x}"})
    verdict = judge(evidence(asked, chain), asked, anchors(maker, revoked), LOCKED, NOW)
    assert "revoked by Google" in verdict.refusals[0]
    # Whoever has no list is told that nothing is proven.
    without = Anchors(android_roots={maker.fingerprint})
    verdict = judge(evidence(asked, chain), asked, without, LOCKED, NOW)
    assert "no list of revoked attestation keys was looked at" in verdict.refusals[0]


@pytest.mark.parametrize("purpose", [SIGN, ATTEST_KEY])
def test_a_chain_that_goes_on_below_an_attested_key_is_refused(
    maker: Maker, asked: Asked, purpose: int
) -> None:
    # An application attests a key that may sign, and signs a certificate that says what it likes.
    own = ec.generate_private_key(ec.SECP256R1())
    honest = description(asked.challenge.for_new_key, hardware=hardware_list(purposes=(purpose,)))
    chain = maker.attest(own.public_key(), honest)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Android Keystore Key")])
    lie = android_keys.certificate(
        DEVICE.public_key(),
        name,
        own,
        name,
        extension=description(asked.challenge.for_new_key, level=2),
        authority=False,
    )
    verdict = judged(maker, asked, [lie.public_bytes(Encoding.DER), *chain])
    assert "that key's owner made the rest" in verdict.refusals[0]


def test_a_chain_of_the_attackers_own_is_refused(maker: Maker, asked: Asked) -> None:
    verdict = judged(maker, asked, attested(Maker(), asked))
    assert "no root of ours" in verdict.refusals[0]


def test_an_answer_that_comes_late_is_refused(maker: Maker, asked: Asked) -> None:
    document = evidence(asked, attested(maker, asked))
    assert judge(document, asked, anchors(maker), LOCKED, NOW + 600).accepted
    assert not judge(document, asked, anchors(maker), LOCKED, NOW + 601).accepted
    assert not judge(document, asked, anchors(maker), LOCKED, NOW - 1).accepted
