"""The granter: what is granted, renewed, asked, and left to a person."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from modelkeep.errors import (
    KeyStoreError,
    MalformedError,
    NotForThisDeviceError,
    StorageError,
    UnavailableError,
    UnsupportedVersionError,
    UsageError,
)
from modelkeep.granter import person, policy_file
from modelkeep.granter.audit import audit
from modelkeep.granter.granter import HEAD_FILE
from modelkeep.granter.index import Index
from modelkeep.granter.journal import Draft, Journal, Place, entries_of
from modelkeep.granter.journal_entry import Event, JournalEntry
from modelkeep.granter.journal_head import JournalHead
from modelkeep.granter.state import journal_path, open_state
from modelkeep.grants.constraints import Constraints
from modelkeep.trust.roots_document import by_fingerprint
from support.command_line import CommandLine
from support.granter import DAY, NOW, Desk
from support.workshop import MODEL_ID, Workshop


@pytest.fixture
def desk(workshop: Workshop) -> Desk:
    return Desk(workshop)


def test_device_on_the_roster_is_granted_for_thirty_days_and_renewed_from_a_third_on(desk: Desk) -> None:
    desk.enlist("pi-1")
    desk.ask("pi-1")
    assert (desk.run().issued, desk.waiting()) == (1, [])
    (grant,) = desk.grants("pi-1")
    assert grant.header.constraints.not_after == NOW + 30 * DAY
    assert desk.opens("pi-1", NOW + 30 * DAY) and not desk.opens("pi-1", NOW + 30 * DAY + 1)
    desk.ask("pi-1")
    tally = desk.run(NOW + 10 * DAY - 1)
    assert (tally.issued, tally.not_due, desk.grants("pi-1")) == (0, 1, [grant])
    desk.ask("pi-1")
    assert desk.run(NOW + 10 * DAY).issued == 1
    assert desk.opens("pi-1", NOW + 40 * DAY)
    assert [entry.facts["first"] for entry in desk.journal(Event.GRANTED)] == [True, False]


def test_next_release_is_no_first_grant_and_all_grants_of_a_device_lie_together(desk: Desk) -> None:
    audio = desk.seal(model="acme/audio")
    desk.enlist("pi-1", models=("acme/*",))
    desk.write_policy(bundles=[desk.bundle, audio], firsts=2)
    desk.ask("pi-1", MODEL_ID, "acme/audio")
    assert desk.run().issued == 2
    following = desk.seal(epoch=2)
    desk.write_policy(bundles=[following, audio], firsts=0)
    # It asks for one model; what it had of the other stays with it.
    desk.ask("pi-1")
    assert desk.run(NOW + 60).issued == 2
    bundles = [entry.facts["bundle"] for entry in desk.journal(Event.GRANTED)]
    assert [each.header.bundle.hex() for each in desk.grants("pi-1")] == bundles[2:]
    assert bundles[0] != bundles[2] and bundles[1] == bundles[3]


def test_first_grants_beyond_a_days_number_wait_for_a_person(desk: Desk) -> None:
    desk.write_policy(firsts=1)
    desk.enlist("pi-1", "pi-2", "pi-3")
    for name in ("pi-1", "pi-2", "pi-3"):
        desk.ask(name)
    tally = desk.run()
    assert (tally.issued, tally.waiting, len(desk.waiting())) == (1, 2, 2)
    policy = policy_file.read(desk.policy)
    names = [each.name for each in person.waiting(policy)]
    assert len(names) == 2
    assert desk.run(NOW + 60).waiting == 2, "nothing was noted twice"
    assert len(desk.journal(Event.WAITS)) == 2
    with pytest.raises(UsageError, match="nothing waits for pi-7"):
        person.allow(policy, ["pi-7"])
    assert [each.name for each in person.allow(policy, names[:1])] == names[:1]
    assert (desk.run(NOW + 120).issued, len(desk.waiting())) == (1, 1)
    assert [each.name for each in person.waiting(policy)] == names[1:]
    # The next day has a number of its own.
    assert desk.run(NOW + DAY).issued == 1
    assert person.waiting(policy) == () and desk.waiting() == []
    with pytest.raises(UsageError, match="nothing waits for a person"):
        person.allow(policy, [], everybody=True)


def test_key_is_handed_over_and_the_old_one_gets_nothing_more(desk: Desk) -> None:
    desk.enlist("pi-1")
    desk.ask("pi-1")
    desk.run()
    desk.ask("new", replaces=desk.key("pi-1"))
    assert desk.run(NOW + 60).asked == 1
    question = desk.question("new")
    assert question is not None
    desk.ask("new", replaces=desk.key("pi-1"), question=question, origin="acme")
    desk.write_policy(firsts=0)
    assert desk.run(NOW + 120).issued == 1
    assert desk.opens("new", NOW + 30 * DAY) and desk.question("new") is None
    (entry,) = desk.journal(Event.REPLACED)
    assert (entry.facts["name"], entry.facts["ground"]) == ("pi-1", "handover")
    desk.ask("pi-1")
    assert desk.run(NOW + 20 * DAY).refusals == 1
    assert "taken the place" in str(desk.journal(Event.REFUSED)[0].facts["why"])
    desk.ask("new")
    assert desk.run(NOW + 20 * DAY).issued == 1
    # A third key, and then the device leaves the roster.
    assert desk.hand_over("new", "third", NOW + 31 * DAY).issued == 1
    desk.strike("pi-1")
    desk.ask("third")
    assert desk.run(NOW + 50 * DAY).refusals == 1


def test_group_that_must_prove_something_is_asked(desk: Desk) -> None:
    (desk.folder / "posture.toml").write_text(
        'format = "modelkeep/posture-policy"\nversion = 1\n[claim]\nkernel-lockdown = [true, false]\n'
    )
    desk.write_policy(more='[[prove]]\ngroups = ["field"]\npolicy = "posture.toml"\n')
    desk.enlist("pi-1", group="field")
    desk.enlist("pi-2")
    desk.ask("pi-1")
    desk.ask("pi-2")
    tally = desk.run()
    assert (tally.issued, tally.asked) == (1, 1)
    desk.ask("pi-1", question=desk.question("pi-1"))
    late = desk.run(NOW + 601)
    assert (late.refusals, late.issued) == (1, 0)
    desk.ask("pi-1", question=desk.question("pi-1"))
    assert desk.run(NOW + 600).issued == 1
    # The answer was for once.
    desk.ask("pi-1", question=person.ask(policy_file.read(desk.policy)), file="other")
    desk.ask("pi-1")
    tally = desk.run(NOW + 15 * DAY)
    assert (tally.refusals, tally.asked) == (1, 1)


def test_index_is_made_anew_from_journal_and_roster(desk: Desk) -> None:
    desk.enlist("pi-1", "pi-2")
    desk.write_policy(firsts=1)
    desk.ask("pi-1")
    desk.run()
    for content in (None, b"no database" * 500):
        for path in desk.state.glob("index.sqlite*"):
            path.unlink() if content is None else path.write_bytes(content)
        desk.ask("pi-1")
        assert desk.run(NOW + 60).not_due == 1
    desk.ask("pi-2")
    assert desk.run(NOW + 60).waiting == 1
    assert len(desk.journal(Event.BEGUN, Event.ROSTER)) == 2


def test_two_granters_exclude_each_other_and_others_may_not_look(desk: Desk) -> None:
    desk.enlist("pi-1")
    desk.run()
    with open_state(desk.state), pytest.raises(UnavailableError, match="another granter"):
        desk.run()
    desk.state.chmod(0o755)
    with pytest.raises(KeyStoreError, match="others may read"):
        desk.run()


def test_bundles_that_cannot_be_leased_are_refused(desk: Desk) -> None:
    desk.enlist("pi-1")
    everybody: dict[str, Any] = {"grant_signer": None}
    for_ever: dict[str, Any] = {"to": [desk.workshop.device.with_suffix(".pub")]}
    for options, problem in ((everybody, "takes signed grants only"), (for_ever, "no grant without end")):
        with pytest.raises(UsageError, match=problem):
            desk.seal(**options)
    desk.seal(**for_ever, constraints=Constraints(not_after=NOW + 30 * DAY))
    unsigned, endless = (desk.seal(**each, leased=False) for each in (everybody, for_ever))
    foreign = desk.seal(grant_signer=desk.workshop.signer)
    for bundle, problem in (
        (unsigned, "takes signed grants only"),
        (endless, "no grant without end"),
        (foreign, "no grants that this key signs"),
        (desk.workshop.seal(), "no grant"),
    ):
        desk.write_policy(bundles=[bundle])
        with pytest.raises((UsageError, NotForThisDeviceError), match=problem):
            desk.run()
    desk.write_policy(bundles=[desk.bundle, desk.bundle])
    with pytest.raises(UsageError, match="named twice"):
        desk.run()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("version = 1", "version = 2", "version"),
        ("first-grants-a-day = 20", "first-grants-a-day = -1", "first-grants-a-day"),
        ("bundles = [", "bundle = [", "bundles"),
        ('origin = "acme"', 'origin = "acme', "not TOML"),
        ('["operator.pub"]', "[]", "operators"),
        ('["operator.pub"]', '["operator.pub"]\nthreshold = 2', "threshold"),
        ('state = "', 'more = 1\nstate = "', "more"),
    ],
)
def test_policies_that_are_none_are_refused(desk: Desk, old: str, new: str, problem: str) -> None:
    text = desk.policy.read_text()
    assert old in text
    desk.policy.write_text(text.replace(old, new, 1))
    with pytest.raises((UsageError, UnsupportedVersionError), match=problem):
        policy_file.read(desk.policy)


def test_policy_that_names_a_file_that_is_not_there_says_which(desk: Desk) -> None:
    (desk.folder / "operator.pub").unlink()
    with pytest.raises(StorageError, match=r"operator\.pub"):
        policy_file.read(desk.policy)


def test_journal_is_read_line_by_line_and_a_torn_end_is_none(tmp_path: Path) -> None:
    draft = Draft(Place())
    for number in range(3):
        draft.add(NOW, Event.UNNAMED, {"count": number})
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.append(Place(), b"".join(draft.lines))
        assert [entry.facts["count"] for entry, _ in journal.following(Place())] == [0, 1, 2]
    path.write_bytes(path.read_bytes() + b'{"at":1')
    assert [place.number for _, place in entries_of(path)] == [1, 2, 3]
    assert audit(path).digest == draft.end.digest
    index = Index(tmp_path / "index")
    with Journal(path) as journal:
        assert index.catch_up(journal) == draft.end
    index.close()
    assert path.read_bytes() == b"".join(draft.lines)
    for line in (b"{}\n", b"x\n", b"", bytes(5000), draft.lines[0].replace(b"unnamed", b"nothing")):
        with pytest.raises(MalformedError):
            JournalEntry.from_line(line)
    with pytest.raises(MalformedError, match="too long"):
        draft.add(NOW, Event.REFUSED, {"why": "x" * 5000})
    for facts in (b'"count":null', b'"Count":1', b'"count":[1]'):
        with pytest.raises(MalformedError):
            JournalEntry.from_line(draft.lines[0].replace(b'"count":0', facts))


def test_commands_from_a_request_to_an_audit(desk: Desk, command: CommandLine) -> None:
    desk.enlist("pi-1", "pi-2")
    # The commands go by the clock of this machine.
    desk.write_policy(firsts=1, bundles=[desk.seal(sealed_at=int(time.time()))])
    line = (
        "modelkeep granter --requests requests --grants answers --policy granter.toml -k admin.pem "
        "--grant-signer issuer.pem -t publisher.pub"
    )
    (command.folder / "publisher.pub").write_bytes(desk.workshop.publisher_public)
    for name in ("pi-1", "pi-2"):
        where = shlex.quote(f"requests/{name}.request.json")
        command.ok(f"modelkeep enrol -k {name}.pem --model {MODEL_ID} -o {where}")
    done = command.ok(line)
    assert "2 requests: 1 grant, 1 waiting for a person" in done.err
    waiting = command.ok("modelkeep granter waiting --policy granter.toml")
    assert MODEL_ID in waiting.out
    assert len(command.ok("modelkeep granter waiting --policy granter.toml --json").json["devices"]) == 1
    assert "allowed" in command.ok("modelkeep granter allow --policy granter.toml --all").err
    assert command.ok(f"{line} --json").json["issued"] == 1
    command.ok("modelkeep granter ask --policy granter.toml -o question.json")
    head = f"--head answers/{HEAD_FILE} --signer issuer.pub"
    checked = f"modelkeep granter audit 'state of granter' {head} --answers answers"
    said = command.ok(checked).err
    assert "2 granted" in said and "none changed or missing" in said
    facts = command.ok(f"{checked} --json").json
    assert (facts["events"]["granted"], facts["put_out"]) == (2, 2)
    assert command.shell("modelkeep granter audit 'state of granter' --head x").code == 2
    assert "--grants is missing" in command.shell("modelkeep granter --requests requests").err
    assert command.shell("modelkeep granter waiting").code == 2
    data = (command.folder / "answers" / HEAD_FILE).read_bytes()
    signed = JournalHead.from_bytes(data, by_fingerprint([desk.issuer.public_key]))
    assert signed.number == audit(journal_path(desk.state), [signed]).number
