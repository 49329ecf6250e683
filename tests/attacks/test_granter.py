"""Who writes the mailboxes, steals an old key, or changes the journal: nothing is granted by it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelkeep.errors import (
    ExpiredError,
    MalformedError,
    RollbackError,
    SignatureError,
    StorageError,
    TamperedError,
    UnavailableError,
)
from modelkeep.granter import batch, deciding, mailbox, person, policy_file
from modelkeep.granter.audit import audit
from modelkeep.granter.granter import HEAD_FILE, Tally
from modelkeep.granter.handover import answer_with_old_key, ask_old_key
from modelkeep.granter.journal_entry import Event, digest_of
from modelkeep.granter.journal_head import JournalHead
from modelkeep.granter.mailbox import REQUEST_ENDING, Requests
from modelkeep.granter.question import Question
from modelkeep.granter.request import Handover, Request
from modelkeep.granter.roster import Roster, RosterHead
from modelkeep.granter.state import journal_path, open_state
from modelkeep.granting import grant
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.hpke import X25519, HpkeRecipient
from modelkeep.key_purpose import Purpose
from modelkeep.keys.identity import Identity
from modelkeep.posture.evidence import Evidence
from modelkeep.trust.roots_document import by_fingerprint
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from support.granter import DAY, END_OF_ROSTER, NOW, Desk
from support.power import killed_at
from support.workshop import MODEL_ID, Workshop


def nothing_for(desk: Desk, name: str, at: int = NOW + 60) -> Tally:
    """Lets the granter look, and sees that somebody got nothing."""
    tally = desk.run(at)
    assert tally.issued == 0 and not desk.grants_file(name).exists()
    return tally


def put(desk: Desk, request: Request, name: str = "planted") -> Path:
    path = desk.requests / f"{name}{REQUEST_ENDING}"
    path.write_bytes(request.to_bytes())
    return path


# F1: who is granted to.


def test_planted_requests_of_strangers_are_refused_whatever_they_call_themselves(desk: Desk) -> None:
    eve = desk.recipient("eve")
    put(desk, Request(eve, (MODEL_ID,)), "1")
    put(desk, Request(eve.named("pi-1"), (MODEL_ID,)), "2")
    put(desk, Request(eve.named("pi-1"), (MODEL_ID,), Evidence(eve.public, None, claims={"tpm": True})), "3")
    assert nothing_for(desk, "eve").refusals == 3
    assert {entry.facts["why"] for entry in desk.journal(Event.REFUSED)} == {"on no roster"}
    assert all(entry.facts["name"] == "" for entry in desk.journal(Event.REFUSED))


def test_evidence_about_another_key_is_not_taken_for_ones_own(desk: Desk) -> None:
    honest, eve = desk.recipient("pi-1"), desk.recipient("eve")
    data = Request(honest, (MODEL_ID,), Evidence(honest.public)).to_bytes()
    mine = Request(eve, (MODEL_ID,)).to_bytes()
    swapped = json.loads(data) | {"recipient": json.loads(mine)["recipient"]}
    text = json.dumps(swapped, sort_keys=True, separators=(",", ":"))
    (desk.requests / f"eve{REQUEST_ENDING}").write_text(text)
    assert nothing_for(desk, "eve").unreadable == 1


def test_other_models_than_the_roster_gives_are_refused(desk: Desk) -> None:
    secret = desk.seal(model="acme/secret")
    desk.write_policy(bundles=[desk.bundle, secret])
    desk.ask("pi-1", "acme/secret")
    tally = desk.run(NOW + 20 * DAY)
    assert (tally.refusals, tally.issued) == (1, 0)
    # What it may have it still gets, and nothing else.
    desk.ask("pi-1", MODEL_ID, "acme/secret")
    assert desk.run(NOW + 20 * DAY).issued == 1
    assert {entry.facts["model"] for entry in desk.journal(Event.GRANTED)} == {MODEL_ID}


def _unsigned(desk: Desk, roster: Roster) -> Roster:
    return roster


def _signed_by_a_stranger(desk: Desk, roster: Roster) -> Roster:
    create_signing_key(desk.folder / "stranger.pem", "operator")
    stranger = Signer.from_pem(desk.folder / "stranger.pem", purpose=Purpose.OPERATOR)
    return replace(roster, envelope=roster.envelope.signed(stranger))


def _with_the_signature_of_the_last(desk: Desk, roster: Roster) -> Roster:
    return replace(roster, envelope=replace(roster.envelope, signatures=desk.roster.envelope.signatures))


def _under_the_head_of_the_last(desk: Desk, roster: Roster) -> Roster:
    return replace(roster, envelope=desk.roster.envelope)


@pytest.mark.parametrize(
    "forge", [_unsigned, _signed_by_a_stranger, _with_the_signature_of_the_last, _under_the_head_of_the_last]
)
def test_forged_rosters_put_nobody_on_them(desk: Desk, forge: Callable[[Desk, Roster], Roster]) -> None:
    eve = desk.recipient("eve")
    mine = replace(desk.roster.devices[0], name="eve", key=f"{eve.type} {_text_of(desk, 'eve')}")
    forged = forge(desk, Roster.of(desk.roster.head.number + 1, END_OF_ROSTER, [*desk.roster.devices, mine]))
    # Even where the index has lost the last one and has to read all lines.
    for path in desk.state.glob("index.sqlite*"):
        path.unlink()
    forged.write(desk.folder / "roster.json", force=True)
    desk.ask("eve")
    with pytest.raises((SignatureError, TamperedError)):
        desk.run(NOW + 60)
    desk.sign()
    assert nothing_for(desk, "eve").refusals == 1


def _text_of(desk: Desk, name: str) -> str:
    return (desk.folder / f"{name}.pub").read_text().split()[1]


def test_older_ended_and_second_rosters_bring_nobody_back(desk: Desk) -> None:
    older = (desk.folder / "roster.json").read_bytes()
    desk.strike("pi-1")
    desk.run(NOW + 60)
    newest = (desk.folder / "roster.json").read_bytes()
    (desk.folder / "roster.json").write_bytes(older)
    desk.ask("pi-1")
    with pytest.raises(RollbackError, match="older than"):
        desk.run(NOW + 20 * DAY)
    number = RosterHead.from_bytes(desk.roster.envelope.payload).number
    desk.roster = Roster.of(number, END_OF_ROSTER, Roster.read(desk.folder / "roster.json").devices)
    desk.sign()
    with pytest.raises(SignatureError, match="two rosters with number"):
        desk.run(NOW + 20 * DAY)
    (desk.folder / "roster.json").write_bytes(newest)
    with pytest.raises(ExpiredError, match="roster has expired"):
        desk.run(END_OF_ROSTER + 1)
    assert desk.run(NOW + 20 * DAY).refusals == 1


def test_stolen_operators_key_gets_a_days_number_of_grants_and_no_more(
    workshop: Workshop,
) -> None:
    desk = Desk(workshop, firsts=2)
    thieves = [f"eve-{number}" for number in range(5)]
    desk.enlist(*thieves)
    for name in thieves:
        desk.ask(name)
    assert [desk.run(NOW + hours * 3600).issued for hours in (0, 1, 2)] == [2, 0, 0]
    assert [entry.facts["device"] for entry in desk.journal(Event.GRANTED)] != []
    desk.strike(*thieves)
    assert desk.run(NOW + 2 * DAY).issued == 0


# F3 and F10: what is taken away, and what takes another's place.


def test_struck_device_keeps_its_lease_to_the_end_and_gets_no_other(desk: Desk) -> None:
    old = desk.ask("pi-1").read_bytes()
    desk.run(NOW + 60)
    desk.strike("pi-1")
    (desk.requests / f"replayed{REQUEST_ENDING}").write_bytes(old)
    assert desk.run(NOW + 20 * DAY).issued == 0
    assert desk.opens("pi-1", NOW + 30 * DAY) and not desk.opens("pi-1", NOW + 30 * DAY + 1)


def test_no_request_asks_for_a_longer_lease_or_a_grant_to_pass_on(desk: Desk) -> None:
    request = json.loads(Request(desk.recipient("pi-1"), (MODEL_ID,)).to_bytes())
    for name, value in (("not_after", 2**40), ("delegate", True), ("constraints", {}), ("admins", [])):
        text = json.dumps(request | {name: value}, sort_keys=True, separators=(",", ":"))
        (desk.requests / f"more{REQUEST_ENDING}").write_text(text)
        assert desk.run(NOW + 20 * DAY).unreadable == 1
    desk.ask("pi-1")
    desk.run(NOW + 20 * DAY)
    (only,) = desk.grants("pi-1")
    assert only.header.constraints == Constraints(not_after=NOW + 50 * DAY)


def test_key_is_not_replaced_without_its_own_answer(desk: Desk) -> None:
    old, eve = desk.recipient("pi-1"), desk.recipient("eve")
    put(desk, Request(eve, (MODEL_ID,), handover=Handover(old)))
    assert nothing_for(desk, "eve").asked == 1
    question = desk.question("eve")
    assert question is not None and question.handover is not None
    nonce = question.challenge.nonce
    # Guessed; of a question that eve made herself; and what an honest handover to another key gave.
    _, own = ask_old_key(question.challenge, old, eve)
    desk.ask("new", replaces=desk.key("pi-1"))
    desk.run(NOW + 60)
    honest = json.loads(
        desk.ask("new", replaces=desk.key("pi-1"), question=desk.question("new")).read_bytes()
    )
    theirs = honest["handover"]
    for number, (at, answer) in enumerate(
        [(nonce, bytes(32)), (nonce, own), (nonce, bytes.fromhex(theirs["answer"])),
         (bytes.fromhex(theirs["nonce"]), bytes.fromhex(theirs["answer"]))]
    ):  # fmt: skip
        put(desk, Request(eve, (MODEL_ID,), handover=Handover(old, at, answer)), f"eve-{number}")
    (desk.requests / f"new{REQUEST_ENDING}").unlink()
    assert nothing_for(desk, "eve", NOW + 120).refusals == 4
    assert desk.journal(Event.REPLACED) == []
    # None of it has spent the honest question.
    desk.ask("new", replaces=desk.key("pi-1"), question=desk.question("new"))
    assert desk.run(NOW + 180).issued == 1


def test_answer_of_ones_own_old_key_replaces_nobody_elses(desk: Desk) -> None:
    desk.enlist("eve")
    desk.ask("eve")
    desk.run(NOW + 60)
    desk.ask("new", replaces=desk.key("eve"))
    desk.run(NOW + 60)
    own = desk.ask("new", replaces=desk.key("eve"), question=desk.question("new"))
    answered = Request.from_bytes(own.read_bytes())
    assert answered.handover is not None
    own.unlink()
    put(desk, replace(answered, handover=replace(answered.handover, old=desk.recipient("pi-1"))))
    assert nothing_for(desk, "new").refusals == 1
    assert desk.journal(Event.REPLACED) == []


def test_question_made_for_another_key_is_not_answered_by_the_device(desk: Desk) -> None:
    """Eve puts the question about her own key where the device looks for the one about its new key."""
    old, eve = desk.recipient("pi-1"), desk.recipient("eve")
    put(desk, Request(eve, (MODEL_ID,), handover=Handover(old)))
    desk.run(NOW + 60)
    with pytest.raises(TamperedError, match="about other keys"):
        desk.ask("new", replaces=desk.key("pi-1"), question=desk.question("eve"))
    # Nor does a grant of a model pass for a question, whose answer would say something of its key.
    question = desk.question("eve")
    assert question is not None
    (model,) = desk.grants("pi-1")
    with pytest.raises(TamperedError, match="about other keys"):
        desk.ask("new", replaces=desk.key("pi-1"), question=Question(question.challenge, model))


def test_answer_is_taken_once(desk: Desk) -> None:
    desk.ask("new", replaces=desk.key("pi-1"))
    desk.run(NOW + 60)
    answer = desk.ask("new", replaces=desk.key("pi-1"), question=desk.question("new"))
    kept = answer.read_bytes()
    assert desk.run(NOW + 60).issued == 1
    answer.write_bytes(kept)
    tally = desk.run(NOW + 60)
    assert (tally.issued, tally.not_due) == (0, 1)
    # The device's state is lost, and it comes with a third key; the thief has what the second one sent.
    desk.write_policy(handovers=2)
    assert desk.hand_over("new", "third", NOW + 60).issued == 1
    answer.write_bytes(kept)
    assert desk.run(NOW + 20 * DAY).refusals == 1


def test_keys_that_were_replaced_or_struck_are_replaced_by_nobody(desk: Desk) -> None:
    desk.hand_over("pi-1", "new", NOW + 60)
    desk.ask("eve", replaces=desk.key("pi-1"))
    assert nothing_for(desk, "eve").refusals == 1
    desk.strike("pi-1")
    desk.ask("eve", replaces=desk.key("new"))
    assert nothing_for(desk, "eve").refusals == 1
    desk.enlist("pi-9")
    desk.ask("eve", replaces=desk.key("pi-9"))
    assert nothing_for(desk, "eve").refusals == 1


def test_key_that_is_handed_on_again_and_again_waits_for_a_person(desk: Desk) -> None:
    """Eve has copied the key: each handover leaves a machine behind that opens the model for thirty days."""
    assert desk.hand_over("pi-1", "first", NOW + 60).issued == 1
    tally = desk.hand_over("first", "second", NOW + 3600)
    assert (tally.issued, tally.waiting) == (0, 1) and not desk.grants_file("second").exists()
    # Nothing has changed for the key that counts.
    desk.ask("first")
    assert desk.run(NOW + 11 * DAY).issued == 1
    (waits,) = person.waiting(policy_file.read(desk.policy))
    assert (waits.name, waits.replaces) == ("pi-1", desk.device("first"))
    person.allow(policy_file.read(desk.policy), [desk.device("second").hex()])
    assert desk.hand_over("first", "second", NOW + 12 * DAY).issued == 1
    assert person.waiting(policy_file.read(desk.policy)) == ()
    # A lease's time later nothing of that is open any more.
    assert desk.hand_over("second", "third", NOW + 42 * DAY - 1).waiting == 1
    assert desk.hand_over("second", "fourth", NOW + 43 * DAY).issued == 1


# The mailboxes.


def test_links_lead_nowhere(desk: Desk) -> None:
    secret = desk.folder / "secret.json"
    secret.write_bytes(Request(desk.recipient("pi-1"), (MODEL_ID,)).to_bytes())
    (desk.requests / f"link{REQUEST_ENDING}").symlink_to(secret)
    desk.grants_file("pi-1").unlink()
    desk.grants_file("pi-1").symlink_to(secret)
    before = secret.read_bytes()
    assert desk.run(NOW + 20 * DAY).unreadable == 1
    desk.ask("pi-1")
    assert desk.run(NOW + 20 * DAY).issued == 1
    assert secret.read_bytes() == before and not desk.grants_file("pi-1").is_symlink()
    assert desk.waiting() == []
    # Nor in the place of the folders themselves.
    desk.requests.rename(desk.folder / "elsewhere")
    desk.requests.symlink_to(desk.folder / "elsewhere")
    with pytest.raises(StorageError):
        desk.run(NOW + 20 * DAY)


def test_what_is_no_request_is_passed_over_and_removed(desk: Desk) -> None:
    os.mkfifo(desk.requests / f"pipe{REQUEST_ENDING}")
    (desk.requests / f"folder{REQUEST_ENDING}").mkdir()
    with (desk.requests / f"huge{REQUEST_ENDING}").open("wb") as file:
        file.truncate(2**40)
    (desk.requests / f"empty{REQUEST_ENDING}").write_bytes(b"")
    (desk.requests / f"junk{REQUEST_ENDING}").write_bytes(b"{" * 1000)
    (desk.requests / f"list{REQUEST_ENDING}").write_bytes(b"[]")
    # Names that no device's request has are neither read nor touched.
    others = {
        ".hidden.request.json",
        "passwd",
        f"-x{REQUEST_ENDING}",
        f"{'a' * 200}{REQUEST_ENDING}",
        "ü.request.json",
    }
    for name in others:
        (desk.requests / name).write_bytes(b"not yours")
    desk.ask("pi-1")
    tally = desk.run(NOW + 20 * DAY)
    assert (tally.requests, tally.unreadable, tally.issued) == (7, 6, 1)
    assert {path.name for path in desk.waiting()} == others | {f"folder{REQUEST_ENDING}"}
    assert [entry.facts["count"] for entry in desk.journal(Event.UNNAMED)] == [6]


def test_flood_of_refusals_does_not_fill_the_journal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MOST_REFUSALS_A_DAY", 3)
    eve = desk.recipient("eve")
    for number in range(10):
        put(desk, Request(eve, (MODEL_ID,)), f"eve-{number}")
        (desk.requests / f"junk-{number}{REQUEST_ENDING}").write_bytes(b"")
    assert (desk.run(NOW + 60).refusals, len(desk.journal(Event.REFUSED))) == (10, 3)
    assert [entry.facts["count"] for entry in desk.journal(Event.UNNAMED)] == [17]


def test_names_that_somebody_holds_keep_from_one_device_what_was_for_it(desk: Desk) -> None:
    desk.enlist("pi-2")
    desk.grants_file("pi-1").unlink()
    desk.grants_file("pi-1").mkdir()
    desk.ask("pi-1")
    desk.ask("pi-2")
    tally = desk.run(NOW + 20 * DAY)
    assert (tally.issued, tally.held) == (2, [desk.grants_file("pi-1").name])
    assert desk.opens("pi-2", NOW + 40 * DAY)
    assert not [path for path in desk.answers.iterdir() if path.name.endswith(".part")]


def test_request_that_took_anothers_place_is_not_removed_with_it(desk: Desk) -> None:
    path = desk.ask("pi-1")
    with Requests(desk.requests) as requests:
        (received,) = requests.received()
        data = path.read_bytes()
        # Its number is free then, and is often used again.
        path.unlink()
        path.write_bytes(data)
        requests.remove(received.name, received.file)
        assert path.exists()


def test_request_for_fewer_models_takes_none_away(desk: Desk) -> None:
    audio = desk.seal(model="acme/audio")
    desk.write_policy(bundles=[desk.bundle, audio])
    desk.enlist("pi-1", models=("acme/*",))
    desk.ask("pi-1", "acme/audio")
    assert desk.run(NOW + 60).issued == 2
    put(desk, Request(desk.recipient("pi-1"), ("acme/audio",)))
    assert desk.run(NOW + 20 * DAY).issued == 2
    assert len(desk.grants("pi-1")) == 2


# The journal, and who runs the granter.


def _change_a_line(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"devices":1', b'"devices":2'))


def _leave_a_line_out(path: Path) -> None:
    first, _, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, *others]))


def _swap_lines(path: Path) -> None:
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))


def _cut_the_end(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize("change", [_change_a_line, _leave_a_line_out, _swap_lines, _cut_the_end])
def test_changed_journals_are_found_out(desk: Desk, change: Callable[[Path], None]) -> None:
    signers = by_fingerprint([desk.issuer.public_key])
    head = JournalHead.from_bytes((desk.answers / HEAD_FILE).read_bytes(), signers)
    path = journal_path(desk.state)
    assert audit(path, [head]).number == head.number
    change(path)
    with pytest.raises((TamperedError, MalformedError)):
        audit(path, [head])
    if change is _cut_the_end:
        with pytest.raises(TamperedError, match="lines are missing"):
            desk.run(NOW + 60)


def test_journal_that_was_written_anew_is_not_the_one_that_was_signed(desk: Desk) -> None:
    signers = by_fingerprint([desk.issuer.public_key])
    head = JournalHead.from_bytes((desk.answers / HEAD_FILE).read_bytes(), signers)
    path, previous, lines = journal_path(desk.state), bytes(32), []
    for entry in desk.journal():
        line = replace(entry, previous=previous, at=entry.at + 1).to_line()
        lines.append(line)
        previous = digest_of(line)
    path.write_bytes(b"".join(lines))
    audit(path)
    with pytest.raises(TamperedError, match="not the one that was signed"):
        audit(path, [head])
    with pytest.raises(SignatureError):
        JournalHead.from_bytes(head.signed(desk.workshop.signer), signers)


def test_grant_without_a_line_is_found_out(desk: Desk) -> None:
    signers = by_fingerprint([desk.issuer.public_key])
    path = journal_path(desk.state)
    (desk.answers / "junk.grants").write_bytes(b"planted\n")
    assert audit(path, (), desk.answers, signers).published == 1
    thief = desk.answers / "thief.grants"
    thief.write_bytes(desk.grants_file("pi-1").read_bytes() + b"no grant" * 100 + b"\n")
    grant(
        desk.bundle, identity=str(desk.admin), verifier=desk.verifier(), to=[desk.recipient("eve")],
        grant_signer=desk.issuer, output=thief,
    )  # fmt: skip
    with pytest.raises(TamperedError, match=r"thief\.grants: holds a grant"):
        audit(path, (), desk.answers, signers)


def test_second_granter_does_nothing_while_the_first_works(desk: Desk) -> None:
    desk.ask("pi-1")
    with open_state(desk.state), pytest.raises(UnavailableError, match="another granter"):
        desk.run(NOW + 20 * DAY)
    assert desk.run(NOW + 20 * DAY).issued == 1


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_granter_that_is_killed_anywhere_goes_on_and_puts_out_nothing_without_a_line(
    workshop: Workshop, every: int
) -> None:
    desk, step, alive = Desk(workshop, firsts=1000), 1, False
    signers = by_fingerprint([desk.issuer.public_key])
    steps = (mailbox, "_sync"), (mailbox, "write_at"), (batch.Batch, "note")
    while not alive:
        desk.enlist(name := f"pi-{step}")
        desk.ask(name)
        alive = not killed_at(step, desk.run, *steps)
        if journal_path(desk.state).exists():
            audit(journal_path(desk.state), (), desk.answers, signers)
        desk.run(NOW + 1)
        assert desk.waiting() == [] and desk.opens(name)
        step += every
    granted = desk.journal(Event.GRANTED)
    assert sum(bool(entry.facts["first"]) for entry in granted) == len(desk.roster.devices)
    assert audit(journal_path(desk.state), (), desk.answers, signers).published == len(desk.roster.devices)
    assert step > 16


def test_one_request_does_not_keep_others_from_being_answered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of a device hands it over to a key for which nothing can be encrypted."""
    low = HpkeRecipient(X25519, bytes(32))
    desk.enlist("pi-2")
    put(desk, Request(low, (MODEL_ID,), handover=Handover(desk.recipient("pi-1"))))
    desk.run(NOW + 60)
    question = desk.question_to(low)
    assert question is not None and question.handover is not None
    with Identity(desk.key("pi-1")) as identity:
        answer = answer_with_old_key(
            question.handover, question.challenge, identity, desk.recipient("pi-1"), low
        )
    handover = Handover(desk.recipient("pi-1"), question.challenge.nonce, answer)
    put(desk, Request(low, (MODEL_ID,), handover=handover))
    desk.ask("pi-2")
    tally = desk.run(NOW + 120)
    assert (tally.issued, tally.refusals, desk.waiting()) == (1, 1, [])
    assert "low order" in str(desk.journal(Event.REFUSED)[0].facts["why"])
    assert desk.journal(Event.REPLACED) == []

    # Nor does one that nobody has thought of.
    def surprised(*_arguments: object) -> None:
        raise OverflowError

    put(desk, Request(desk.recipient("eve"), (MODEL_ID,)))
    desk.ask("pi-2")
    monkeypatch.setattr(deciding, "claim_of", surprised)
    assert (desk.run(NOW + 180).refusals, desk.waiting()) == (2, [])


def test_journal_of_an_older_day_is_not_gone_on_with(desk: Desk) -> None:
    older = desk.folder / "older"
    shutil.copytree(desk.state, older)
    desk.ask("pi-1")
    desk.run(NOW + 20 * DAY)
    shutil.rmtree(desk.state)
    older.rename(desk.state)
    desk.ask("pi-1")
    with pytest.raises(TamperedError, match="were put out once"):
        desk.run(NOW + 40 * DAY)
    # Nobody else can make such an end.
    forged = JournalHead(1000, bytes(32), NOW).signed(desk.workshop.signer)
    (desk.answers / HEAD_FILE).write_bytes(forged)
    assert desk.run(NOW + 40 * DAY).issued == 1
