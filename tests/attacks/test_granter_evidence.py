"""Devices that must prove their TPM to the granter: relayed, repeated and borrowed proofs, and lost keys."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelkeep.granter.journal_entry import Event
from modelkeep.granter.request import Request
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.posture.judging import claimed_hardware
from support.attesting import AttestedKey, answered, introduced
from support.granter import DAY, Desk
from support.swtpm import SoftwareTpm, copy_of, manufacture
from support.workshop import MODEL_ID, Workshop

POSTURE = """
format = "modelkeep/posture-policy"
version = 1
[prove]
key-protection = "tpm"
"""
DEMAND = """
[[prove]]
groups = ["field"]
policy = "posture.toml"
tpm-makers = ["maker.pem"]
"""


@pytest.fixture(scope="module")
def tpms(
    manufactured: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SoftwareTpm, SoftwareTpm, bytes]]:
    """Two TPMs, and the certificates of their makers, who are believed."""
    folder = tmp_path_factory.mktemp("tpms")
    manufacture(folder / "another")
    running: list[SoftwareTpm] = []
    certificates = b""
    for maker in (manufactured, folder / "another"):
        running.append(copy_of(maker, folder / f"{len(running)}"))
        running[-1].start()
        certificates += (maker / "authority" / "issuercert.pem").read_bytes()
    yield running[0], running[1], certificates
    for tpm in running:
        tpm.stop(clean=False)


class Field:
    """A granter that demands proofs, and devices with TPMs."""

    def __init__(self, workshop: Workshop, certificates: bytes) -> None:
        self.desk = Desk(workshop)
        # The certificates were made just now, and count from then on.
        self.now = int(time.time()) + 3600
        (self.desk.folder / "posture.toml").write_text(POSTURE)
        (self.desk.folder / "maker.pem").write_bytes(certificates)
        self.desk.write_policy(more=DEMAND)

    def recipient(self, key: AttestedKey, name: str = "pi") -> HpkeRecipient:
        return HpkeRecipient("hpke-p256", key.point, name)

    def enlist(self, key: AttestedKey, **details: Any) -> None:
        self.desk.enlist_key(self.recipient(key), group="field", **details)

    def run(self, *requests: Request, days: int = 0) -> tuple[int, int, int]:
        """Sends requests and returns how many were granted, asked and refused."""
        for number, request in enumerate(requests):
            (self.desk.requests / f"{number}.request.json").write_bytes(request.to_bytes())
        tally = self.desk.run(self.now + days * DAY)
        return tally.issued, tally.asked, tally.refusals

    def introduce(self, key: AttestedKey) -> Request:
        return Request(self.recipient(key), (MODEL_ID,), introduced(key))

    def answer(self, key: AttestedKey) -> Request:
        question = self.desk.question_to(self.recipient(key))
        assert question is not None
        return Request(self.recipient(key), (MODEL_ID,), answered(key, question.challenge))

    def why(self) -> str:
        return str(self.desk.journal(Event.REFUSED)[-1].facts["why"])


@pytest.fixture
def field(workshop: Workshop, tpms: tuple[SoftwareTpm, SoftwareTpm, bytes]) -> Field:
    return Field(workshop, tpms[2])


def test_proof_is_asked_for_each_grant_and_counts_once(
    field: Field, tpms: tuple[SoftwareTpm, SoftwareTpm, bytes]
) -> None:
    key = AttestedKey(tpms[0])
    field.enlist(key)
    assert field.run(field.introduce(key)) == (0, 1, 0)
    kept = field.answer(key)
    assert field.run(field.introduce(key)) == (0, 1, 0)
    answer = field.answer(key)
    assert field.run(answer) == (1, 0, 0)
    assert str(field.desk.journal(Event.GRANTED)[0].facts["hardware"]).startswith("tpm:")
    # Repeated when the lease is due, it proves nothing.
    assert field.run(answer, days=20) == (0, 0, 1)
    assert "not asked, or was answered before" in field.why()
    # Nor does one that was made for another question of that day, and kept for a worse one.
    assert field.run(kept, days=20) == (0, 0, 1)
    assert "not asked, or was answered before" in field.why()
    # Without proof: only its word, and what it says of itself.
    assert field.run(Request(field.recipient(key), (MODEL_ID,)), days=20) == (0, 1, 0)
    assert field.desk.run(field.now + 20 * DAY).issued == 0


def test_attester_or_quote_of_another_tpm_is_refused(
    field: Field, tpms: tuple[SoftwareTpm, SoftwareTpm, bytes]
) -> None:
    key, helper = AttestedKey(tpms[0]), AttestedKey(tpms[1])
    field.enlist(key)
    mixed = field.introduce(key)
    assert mixed.evidence is not None and mixed.evidence.tpm is not None
    theirs = introduced(helper).tpm
    assert theirs is not None
    borrowed = replace(mixed.evidence.tpm, attester=theirs.attester)
    field.run(replace(mixed, evidence=replace(mixed.evidence, tpm=borrowed)))
    question = field.desk.question_to(field.recipient(key))
    assert question is not None
    honest = answered(helper, replace(question.challenge, credentials={}))
    credentials = {"device": question.challenge.credentials["device"]}
    own = answered(key, replace(question.challenge, credentials=credentials))
    assert own.tpm is not None and honest.tpm is not None
    lies: list[dict[str, Any]] = [
        {"attester": theirs.attester},
        {"attester": theirs.attester, "quoted": honest.tpm.quoted, "certified": None},
        {"opened": {"device": bytes(32)}},
        {"endorsement": theirs.endorsement, "certificates": theirs.certificates},
    ]
    for lie in lies:
        evidence = replace(own, tpm=replace(own.tpm, **lie))
        assert field.run(Request(field.recipient(key), (MODEL_ID,), evidence)) == (0, 0, 1)


def test_software_key_with_an_honest_devices_proof_is_refused(
    field: Field, tpms: tuple[SoftwareTpm, SoftwareTpm, bytes]
) -> None:
    key, eve = AttestedKey(tpms[0]), field.desk.recipient("eve")
    field.desk.enlist("eve", group="field")
    assert field.run(Request(eve, (MODEL_ID,))) == (0, 1, 0)
    question = field.desk.question("eve")
    assert question is not None
    honest = answered(key, question.challenge)
    relayed = replace(honest, device_key=eve.public)
    assert field.run(Request(eve, (MODEL_ID,), relayed)) == (0, 0, 1)
    assert "another key than the device's" in field.why()
    assert field.run(Request(eve, (MODEL_ID,), replace(relayed, tpm=None))) == (0, 0, 1)


def test_lost_key_comes_back_by_its_hardware_alone(
    field: Field, tpms: tuple[SoftwareTpm, SoftwareTpm, bytes]
) -> None:
    old, new, foreign = AttestedKey(tpms[0]), AttestedKey(tpms[0]), AttestedKey(tpms[1])
    field.enlist(old, hardware=claimed_hardware(introduced(old)))
    field.run(field.introduce(old))
    assert field.run(field.answer(old)) == (1, 0, 0)
    # Another TPM says that it is this one, with its certificate.
    lie, own = field.introduce(foreign), introduced(old).tpm
    assert lie.evidence is not None and lie.evidence.tpm is not None and own is not None
    names: dict[str, Any] = {"endorsement": own.endorsement, "certificates": own.certificates}
    posing = replace(lie.evidence.tpm, **names)
    assert field.run(replace(lie, evidence=replace(lie.evidence, tpm=posing))) == (0, 1, 0)
    question = field.desk.question_to(field.recipient(foreign))
    assert question is not None
    silent = answered(foreign, replace(question.challenge, credentials={}))
    assert silent.tpm is not None
    said = replace(silent, tpm=replace(silent.tpm, **names))
    assert field.run(Request(field.recipient(foreign), (MODEL_ID,), said)) == (0, 0, 1)
    assert field.desk.journal(Event.REPLACED) == []
    # The disk of the device is lost: a new key in the same TPM, and nobody has to do anything.
    assert field.run(field.introduce(new)) == (0, 1, 0)
    assert field.run(field.answer(new)) == (1, 0, 0)
    assert field.desk.journal(Event.REPLACED)[0].facts["ground"] == "hardware"
    assert field.run(field.introduce(old), days=20) == (0, 0, 1)
    assert "taken the place" in field.why()


def test_device_in_other_hardware_than_the_roster_says_is_refused(
    field: Field, tpms: tuple[SoftwareTpm, SoftwareTpm, bytes]
) -> None:
    key, other = AttestedKey(tpms[0]), AttestedKey(tpms[1])
    field.enlist(key, hardware=claimed_hardware(introduced(other)))
    field.run(field.introduce(key))
    assert field.run(field.answer(key)) == (0, 0, 1)
    assert ", not in tpm:" in field.why()
