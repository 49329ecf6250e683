"""Phones that must prove their keys to the granter: chains of others, borrowed, unlocked and taken back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep.granter import person, policy_file
from modelkeep.granter.journal_entry import Event
from modelkeep.granter.policy import GranterPolicy
from modelkeep.granter.question import Question
from modelkeep.granter.request import Request
from modelkeep.grants.hpke import P256, HpkeRecipient
from modelkeep.posture.evidence import Evidence
from support.android_keys import SIGN, Maker, description, hardware_list, root_of_trust
from support.granter import DAY, Desk
from support.workshop import MODEL_ID, Workshop

POSTURE = """
format = "modelkeep/posture-policy"
version = 1
[prove]
key-protection = ["tee", "strongbox"]
boot-state = "verified"
boot-locked = true
"""
DEMAND = """
[[prove]]
groups = ["phones"]
policy = "posture.toml"
revocations = "revoked.json"
renewals = false
"""

Key = ec.EllipticCurvePublicKey
Chain = Callable[[Key, bytes], list[bytes]]


class Phones:
    """A granter that believes one maker of phones."""

    def __init__(self, workshop: Workshop) -> None:
        self.desk, self.maker = Desk(workshop), Maker()
        # A person's question is of this moment.
        self.now = int(time.time()) + 60
        (self.desk.folder / "posture.toml").write_text(POSTURE)
        self.revoke()
        self.desk.write_policy(more=DEMAND)

    def revoke(self, *serials: str) -> None:
        """Writes the list of what was taken back."""
        entries = {each: {"status": "REVOKED"} for each in serials}
        (self.desk.folder / "revoked.json").write_text(json.dumps({"entries": entries}))

    @property
    def policy(self) -> GranterPolicy:
        """The policy's file, with the maker's root in the place of Google's."""
        read = policy_file.read(self.desk.policy)
        (demand,) = read.demands
        anchors = replace(demand.anchors, android_roots={self.maker.fingerprint})
        return replace(read, demands=(replace(demand, anchors=anchors),))

    def ask(self) -> Question:
        """Returns the question that comes before a key."""
        return person.ask(self.policy)

    def listed(self) -> tuple[Key, HpkeRecipient]:
        """Returns a new key that is on the roster."""
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        recipient = HpkeRecipient(
            P256, key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), "phone"
        )
        self.desk.enlist_key(recipient, group="phones")
        return key, recipient

    def send(
        self, recipient: HpkeRecipient, question: Question, chain: list[bytes], days: int = 0
    ) -> tuple[int, int]:
        """Sends an answer; returns how many grants and how many refusals came of it."""
        evidence = Evidence(recipient.public, question.challenge.nonce, android=tuple(chain))
        request = Request(recipient, (MODEL_ID,), evidence)
        (self.desk.requests / "phone.request.json").write_bytes(request.to_bytes())
        tally = self.desk.run(self.now + days * DAY, self.policy)
        return tally.issued, tally.refusals

    def why(self) -> str:
        """Returns why the last request was refused."""
        return str(self.desk.journal(Event.REFUSED)[-1].facts["why"])


@pytest.fixture
def phones(workshop: Workshop) -> Phones:
    return Phones(workshop)


def test_attested_key_of_a_phone_is_granted_once_and_renewed(phones: Phones) -> None:
    question, (key, recipient) = phones.ask(), phones.listed()
    chain = phones.maker.attest(key, description(question.challenge.for_new_key))
    assert phones.send(recipient, question, chain) == (1, 0)
    assert phones.desk.question_to(recipient) is None
    # Its answer is used up; it has what it asked for, and is renewed without another one.
    assert phones.send(recipient, question, chain) == (0, 0)
    (phones.desk.requests / "phone.request.json").write_bytes(Request(recipient, (MODEL_ID,)).to_bytes())
    assert phones.desk.run(phones.now + 11 * DAY, phones.policy).issued == 1
    # Nor does it stand for another key that is on the roster.
    other, thief = phones.listed()
    assert phones.send(thief, question, phones.maker.attest(other, description(b""))) == (0, 1)
    assert "not asked, or was answered before" in phones.why()


def test_chains_that_prove_something_else_get_nothing(phones: Phones) -> None:
    maker, question = phones.maker, phones.ask()
    challenge, others = question.challenge.for_new_key, ec.generate_private_key(ec.SECP256R1()).public_key()
    unlocked = hardware_list(root=root_of_trust(locked=b"\0", state=2))
    bad: dict[str, Chain] = {
        "no root of ours": lambda key, asked: Maker().attest(key, description(asked)),
        "about another key": lambda _key, asked: maker.attest(others, description(asked)),
        "for another question": lambda key, _asked: maker.attest(key, description(b"another")),
        "has no attestation": lambda key, _asked: maker.attest(key, None),
        "kept by software": lambda key, asked: maker.attest(key, description(asked, level=0)),
        "boot-": lambda key, asked: maker.attest(key, description(asked, hardware=unlocked)),
        "something else than key agreement": lambda key, asked: maker.attest(
            key, description(asked, hardware=hardware_list(purposes=(6, SIGN)))
        ),
    }
    key, recipient = phones.listed()
    for why, chain in bad.items():
        assert phones.send(recipient, question, chain(key, challenge)) == (0, 1), why
        assert why in phones.why()
    good = maker.attest(key, description(challenge))
    phones.revoke(f"{x509.load_der_x509_certificate(good[1]).serial_number:x}")
    assert phones.send(recipient, question, good) == (0, 1)
    assert "revoked" in phones.why()
    # What was wrong was the chains, not the phone.
    phones.revoke()
    assert phones.send(recipient, question, good) == (1, 0)
