"""What a device sends to be granted models, and how it answers questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelkeep.errors import MalformedError, RefusedError, TamperedError, UsageError
from modelkeep.granter.enrolment import enrol
from modelkeep.granter.handover import ask_old_key
from modelkeep.granter.question import Question
from modelkeep.granter.request import Handover, Request
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.keys.fleet import create_device, create_master
from modelkeep.posture.challenge import Challenge
from modelkeep.posture.evidence import Evidence
from support.command_line import CommandLine
from support.workshop import Workshop

NOW = 1_800_000_000


def recipient_of(workshop: Workshop, device: Path) -> HpkeRecipient:
    recipient = workshop.identity(device).recipient()
    assert isinstance(recipient, HpkeRecipient)
    return recipient


def test_request_of_a_software_key_is_its_word_alone(workshop: Workshop) -> None:
    request = enrol(f"file:{workshop.device}", ["acme/detector", "acme/audio", "acme/audio"])
    assert (request.models, request.evidence, request.handover) == (
        ("acme/audio", "acme/detector"),
        None,
        None,
    )
    assert request.recipient.device_id == "pi-17"
    read = Request.from_bytes(request.to_bytes())
    assert (read.models, read.to_bytes()) == (request.models, request.to_bytes())
    assert enrol(str(workshop.device), ["a"], device_id="other").recipient.device_id == "other"


@pytest.mark.parametrize("kind", ["x25519", "mlkem768-x25519"])
def test_keys_of_every_kind_with_a_public_part_ask(workshop: Workshop, kind: str) -> None:
    device = workshop.new_device("other", kind)
    question = Question(Challenge.new("acme", NOW))
    assert enrol(str(device), ["a"], question=question).evidence is None
    request = enrol(str(device), ["a"])
    assert Request.from_bytes(request.to_bytes()).recipient.public == request.recipient.public


def test_secrets_that_are_shared_ask_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "a passphrase")
    create_master(str(tmp_path / "master.key"))
    create_device(str(tmp_path / "pi.key"), str(tmp_path / "master.key"), "pi")
    for key in ("passphrase:?env=SECRET", f"fleet:{tmp_path / 'pi.key'}"):
        with pytest.raises(UsageError, match="no fleet: keys and no passphrases"):
            enrol(key, ["a"])


def test_documents_hold_what_they_have_to_and_no_more(workshop: Workshop) -> None:
    recipient = recipient_of(workshop, workshop.device)
    data = Request(recipient, ("a", "b"), Evidence(recipient.public)).to_bytes()
    for old, new in (
        (b'["a","b"]', b'["b","a"]'),
        (b'["a","b"]', b"[]"),
        (b'["a","b"]', b'["a/",1]'),
        (b'"recipient":"hpke', b'"recipient":"hpko'),
        (b'"models"', b'"more":1,"models"'),
        (b'"version":1}', b'"version":2}'),
        (b"modelkeep/request", b"modelkeep/roster"),
    ):
        assert old in data
        with pytest.raises(MalformedError):
            Request.from_bytes(data.replace(old, new))
    other = recipient_of(workshop, workshop.new_device("pi-18"))
    with pytest.raises(UsageError, match="about another key"):
        Request(recipient, ("a",), Evidence(other.public))
    # Nor does such a request pass when somebody else has put it together.
    evidence = data.index(b'"device_key":"') + 20
    changed = b"B" if data[evidence : evidence + 1] == b"A" else b"A"
    with pytest.raises(MalformedError):
        Request.from_bytes(data[:evidence] + changed + data[evidence + 1 :])
    question = Question(Challenge.new("acme", NOW))
    assert Question.from_bytes(question.to_bytes()) == question
    with pytest.raises(MalformedError):
        Question.from_bytes(b"{}" + bytes(70_000))


@pytest.mark.parametrize("kind", ["p256", "x25519", "mlkem768-x25519"])
def test_old_key_answers_for_the_new_one_alone(workshop: Workshop, kind: str) -> None:
    old, new = workshop.new_device("old", kind), workshop.new_device("new")
    keys = recipient_of(workshop, old), recipient_of(workshop, new)
    first = enrol(str(new), ["a"], replaces=str(old))
    assert first.handover is not None and first.handover.answer is None
    challenge = Challenge.new("acme", NOW)
    sealed, expected = ask_old_key(challenge, *keys)
    question = Question.from_bytes(Question(challenge, sealed).to_bytes())
    answered = enrol(str(new), ["a"], replaces=str(old), question=question, origin="acme")
    assert answered.handover is not None
    assert (answered.handover.nonce, answered.handover.answer) == (challenge.nonce, expected)
    assert Request.from_bytes(answered.to_bytes()).to_bytes() == answered.to_bytes()
    thief = workshop.new_device("thief")
    with pytest.raises(TamperedError, match="about other keys"):
        enrol(str(thief), ["a"], replaces=str(old), question=question)
    with pytest.raises(TamperedError):
        enrol(str(new), ["a"], replaces=str(thief), question=question)
    with pytest.raises(RefusedError, match="not of 'other'"):
        enrol(str(new), ["a"], question=question, origin="other")


def test_half_an_answer_is_none(workshop: Workshop) -> None:
    old = recipient_of(workshop, workshop.device)
    data = Request(old, ("a",), handover=Handover(old, bytes(32), bytes(32))).to_bytes()
    for part in (b'"answer":"' + b"00" * 32 + b'",', b',"nonce":"' + b"00" * 32 + b'"'):
        assert part in data
        with pytest.raises(MalformedError):
            Request.from_bytes(data.replace(part, b""))


def test_command_says_what_a_request_is_worth(command: CommandLine) -> None:
    command.ok("modelkeep keys create pi-17.pem")
    made = command.ok("modelkeep enrol -k pi-17.pem --model acme/detector -o request.json")
    assert "nothing but its word; a roster has to vouch for it" in made.err
    (command.folder / "question.json").write_bytes(Question(Challenge.new("acme", NOW)).to_bytes())
    answer = "modelkeep enrol -k pi-17.pem --model a --question question.json --origin acme -o a.json --json"
    facts = command.ok(answer).json
    assert (facts["models"], facts["evidence"]) == (["a"], "answer")
    assert command.shell(answer.replace("--origin acme", "--origin eve") + " -f").code == 3
    assert command.shell("modelkeep enrol -k pi-17.pem --model a/ -o b.json").code == 2
