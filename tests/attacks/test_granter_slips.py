"""What goes wrong around a granter, by attackers or by slips: it locks nobody out, and goes on."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest

from modelkeep.bundle.bundle import Bundle
from modelkeep.cli import main
from modelkeep.errors import RefusedError, StorageError, TamperedError, UsageError
from modelkeep.granter import mailbox, person, policy_file
from modelkeep.granter.audit import audit
from modelkeep.granter.granter import HEAD_FILE
from modelkeep.granter.index import Index
from modelkeep.granter.questions import Questions
from modelkeep.granter.request import Request
from modelkeep.granter.state import journal_path, open_state
from modelkeep.key_purpose import Purpose
from modelkeep.posture.evidence import Evidence
from modelkeep.posture.judging import Anchors
from modelkeep.trust.roots_document import by_fingerprint
from modelkeep.trust.signer import Signer
from support.granter import DAY, NOW, Desk
from support.workshop import MODEL_ID, Workshop

POSTURE = 'format = "modelkeep/posture-policy"\nversion = 1\n[prove]\nkey-protection = "tpm"\n'


def test_key_that_took_anothers_place_may_be_listed_in_place_of_it(desk: Desk) -> None:
    old = desk.key("pi-1")
    desk.ask("new", replaces=old)
    desk.run(NOW + 60)
    desk.ask("new", replaces=old, question=desk.question("new"))
    assert desk.run(NOW + 120).issued == 1
    desk.enlist_key(desk.recipient("new").named("pi-1"))
    desk.ask("new")
    desk.ask("pi-1")
    tally = desk.run(NOW + 15 * DAY)
    assert (tally.issued, tally.refusals) == (1, 1)
    desk.strike("pi-1")
    desk.ask("new")
    assert desk.run(NOW + 30 * DAY).issued == 0


def test_roster_that_would_let_none_follow_is_refused(desk: Desk) -> None:
    operator = Signer.from_pem(desk.folder / "operator.pem", purpose=Purpose.OPERATOR)
    last = desk.roster
    desk.sign_with(operator, number=2**53 - 1)
    desk.ask("pi-1")
    with pytest.raises(RefusedError, match="ahead of"):
        desk.run(NOW + 20 * DAY)
    desk.roster = last
    desk.enlist("pi-2")
    assert desk.run(NOW + 20 * DAY).issued == 1


@pytest.mark.parametrize("take", [Path.unlink, lambda path: (path.unlink(), path.mkdir(), path.rmdir())])
def test_grants_that_are_lost_on_their_way_are_made_again_the_next_day(desk: Desk, take: Any) -> None:
    take(desk.grants_file("pi-1"))
    desk.ask("pi-1")
    assert desk.run(NOW + 3600).not_due == 1
    desk.ask("pi-1")
    assert desk.run(NOW + DAY).issued == 1 and desk.opens("pi-1", NOW + DAY)
    # A device that is struck gets nothing by it.
    desk.grants_file("pi-1").unlink()
    desk.strike("pi-1")
    desk.ask("pi-1")
    assert desk.run(NOW + 3 * DAY).refusals == 1


def test_part_that_is_taken_away_stops_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def steal(source: str, target: str, **options: int) -> None:
        if target == desk.grants_file("pi-2").name:
            os.unlink(source, dir_fd=options["src_dir_fd"])
        rename(source, target, **options)

    desk.enlist("pi-2", "pi-3")
    desk.ask("pi-2")
    desk.ask("pi-3")
    monkeypatch.setattr(os, "rename", steal)
    assert desk.run(NOW + 60).held == [desk.grants_file("pi-2").name]
    assert desk.opens("pi-3", NOW + 60) and desk.waiting() == []


class _Share:
    """The functions of the system, on a share that numbers its files as NTFS does."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def stat(self, *what: Any, **how: Any) -> os.stat_result:
        return _far(os.stat(*what, **how))

    def fstat(self, descriptor: int) -> os.stat_result:
        return _far(os.fstat(descriptor))


def _far(status: os.stat_result) -> os.stat_result:
    return os.stat_result((status.st_mode, 2**64 - 1, *status[2:10]), {"st_mtime_ns": status.st_mtime_ns})


def test_numbers_of_files_on_shares_are_longer_than_those_of_json(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.ask("pi-1")
    monkeypatch.setattr(mailbox, "os", _Share())
    assert desk.run(NOW + 60).not_due == 1
    assert desk.waiting() == []


def test_what_a_bundle_brought_along_raises_no_alarm(desk: Desk) -> None:
    """The administrator's own grant is public, and by the grant signer."""
    with Bundle(desk.bundle) as bundle:
        lines = [grant.to_bytes() + b"\n" for grant in bundle.embedded_grants()]
    (desk.answers / f"{'a' * 64}.grants").write_bytes(b"".join(lines))
    known: dict[str, Any] = {
        "answers": desk.answers,
        "signers": by_fingerprint([desk.folder / "issuer.pub"]),
        "journal": journal_path(desk.state),
    }
    assert audit(**known, bundles=[desk.bundle]).published == 1
    with pytest.raises(TamperedError, match="holds a grant"):
        audit(**known)


def test_head_that_was_taken_away_or_put_back_is_put_out_again(desk: Desk) -> None:
    path = desk.answers / HEAD_FILE
    older = path.read_bytes()
    desk.enlist("pi-2")
    desk.run(NOW + 60)
    path.write_bytes(older)
    desk.run(NOW + 120)
    assert path.read_bytes() != older
    path.unlink()
    desk.run(NOW + 180)
    assert path.exists()


def test_index_on_a_full_disk_is_not_thrown_away(desk: Desk) -> None:
    """Open questions are nowhere else; and how far the journal went is then forgotten."""
    path = desk.state / "index.sqlite"
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(StorageError):
            Index(path.with_name("new.sqlite"))
        with pytest.raises(StorageError):
            desk.run(NOW + 60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes()[:100] == before[:100]
    assert desk.run(NOW + 60).held == []
    # What was begun and not finished is no index.
    Index(path.with_name("new.sqlite")).close()


def test_answer_that_is_older_than_anybody_waits_counts_no_more(desk: Desk) -> None:
    key, device = desk.recipient("pi-1"), desk.device("pi-1")
    with open_state(desk.state) as state:
        questions = Questions(state.index, "acme")
        for at, counts in ((NOW, False), (NOW + 1, True)):
            question = questions.ask(Request(key, (MODEL_ID,)), device, b"pi-1", Anchors(), at)
            answer = Request(key, (MODEL_ID,), Evidence(key.public, question.challenge.nonce))
            found = questions.answered_by(answer, device, NOW + 30 * DAY + 1)
            assert (found is not None) is counts


def test_clock_that_cannot_be_right_grants_nothing(desk: Desk) -> None:
    """A machine without a battery: rosters that have ended would count, and lines get times that are none."""
    desk.enlist("pi-2")
    desk.ask("pi-2")
    for at in (-5, 1000):
        with pytest.raises(RefusedError, match="clock"):
            desk.run(at)
    assert desk.run(NOW + 60).issued == 1


def test_what_waits_stays_beside_what_was_granted(workshop: Workshop) -> None:
    desk = Desk(workshop, firsts=1)
    audio = desk.seal(model="acme/audio")
    desk.write_policy(firsts=1, bundles=[desk.bundle, audio])
    desk.enlist("pi-1", models=("acme/*",))
    desk.ask("pi-1", MODEL_ID, "acme/audio")
    tally = desk.run()
    assert (tally.issued, tally.waiting) == (1, 1)
    tally = desk.run(NOW + 60)
    assert (tally.issued, tally.waiting) == (0, 1)
    assert desk.run(NOW + DAY).issued == 2 and desk.waiting() == []


def test_name_that_means_two_keys_allows_none(workshop: Workshop) -> None:
    """Who has stolen an operator's key lists another key under the name that a person has just looked at."""
    desk = Desk(workshop, firsts=0)
    desk.enlist("pi-1")
    desk.ask("pi-1")
    desk.run()
    desk.enlist_key(desk.recipient("eve").named("pi-1"))
    desk.ask("eve")
    desk.run(NOW + 60)
    policy = policy_file.read(desk.policy)
    with pytest.raises(UsageError, match="several keys"):
        person.allow(policy, ["pi-1"])
    digest = desk.device("pi-1").hex()
    assert [each.device.hex() for each in person.allow(policy, [digest])] == [digest]


def test_struck_device_that_is_back_is_shown_or_said_not_to_be(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody proposes it again, and puts an older roster in the place of the last one."""
    desk.enlist("pi-2")
    path, kept = desk.folder / "roster.json", {}
    for number in (1, 2, 3):
        kept[number] = desk.folder / f"{number}.json"
        kept[number].write_bytes(path.read_bytes())
        desk.enlist("pi-2") if number == 2 else desk.strike("pi-2")
    for number, said in ((1, "compared with roster"), (2, "+ pi-2")):
        assert main(["roster", "show", str(kept[3]), "--since", str(kept[number])]) == 0
        out = capsys.readouterr().out
        assert said in out and out.count("pi-2") + out.count("is not shown") == 1


def test_last_line_of_the_journal_that_was_changed_is_not_built_upon(desk: Desk) -> None:
    path = journal_path(desk.state)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"name":"pi-1"', b'"name":"pi-2"'))
    desk.ask("pi-1")
    with pytest.raises(TamperedError, match="not the one that was there"):
        desk.run(NOW + 20 * DAY)
    path.write_bytes(data)
    assert desk.run(NOW + 20 * DAY).issued == 1


def test_group_that_nobody_is_in_is_named(desk: Desk) -> None:
    (desk.folder / "posture.toml").write_text(POSTURE)
    table = '[[prove]]\ngroups = ["feild", "devices", "*"]\npolicy = "posture.toml"\n'
    desk.write_policy(more=table)
    assert desk.run(NOW + 60).nobody_in == ["feild"]
    desk.enlist("pi-2", group="feild")
    assert desk.run(NOW + 120).nobody_in == []
