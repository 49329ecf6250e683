"""Somebody who edits what an administrator reads, or names what the administrator's command writes to."""

from __future__ import annotations

from pathlib import Path

import pytest

import modelkeep as mk
from modelkeep.grants.device_list import LONGEST_LINE
from support.command_line import CommandLine
from support.workshop import MODEL_ID, Workshop

# What Python, and other languages alike, take for the end of a line although no editor shows one.
UNSEEN = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"]


def public(workshop: Workshop, name: str) -> str:
    return workshop.new_device(name).with_suffix(".pub").read_text().strip()


@pytest.mark.parametrize("unseen", UNSEEN)
def test_a_recipient_hidden_in_a_comment_is_not_sealed_to(workshop: Workshop, unseen: str) -> None:
    mine = public(workshop, "mine")
    devices = workshop.folder / "devices.pub"
    devices.write_bytes(f"# boxes of line 4{unseen}{mine}\n{public(workshop, 'line-4')}\n".encode())
    draft = mk.seal(workshop.model(), model=MODEL_ID, to=devices, signer=workshop.publisher_pem)
    assert [grantee.recipient.device_id for grantee in draft.recipe.grantees] == ["line-4"]


def test_a_device_beyond_a_comment_that_no_editor_shows_whole_is_not_granted_to(workshop: Workshop) -> None:
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")])
    devices, output = workshop.folder / "devices.jsonl", workshop.folder / "grants.jsonl"
    devices.write_text("# ".ljust(LONGEST_LINE + 1) + public(workshop, "mine") + "\n")
    with pytest.raises(mk.MalformedError, match="line 1: longer than"):
        mk.grant_all(bundle, devices, output, identity=workshop.identity(), verifier=workshop.verifier())
    assert not output.exists()


def test_a_rerun_that_would_change_nothing_does_not_say_that_it_did(workshop: Workshop) -> None:
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")])
    devices, output = workshop.folder / "devices.jsonl", workshop.folder / "grants.jsonl"
    devices.write_text(public(workshop, "line-4") + "\n")
    access = {"identity": workshop.identity(), "verifier": workshop.verifier()}
    mk.grant_all(bundle, devices, output, **access)  # type: ignore[arg-type]
    with pytest.raises(mk.UsageError, match="grant 1 is not what this list and these terms would give"):
        mk.grant_all(bundle, devices, output, constraints=mk.Constraints(not_after=4_000_000_000), **access)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["model.keep", "publisher.pub", "notes.txt"])
def test_granting_into_any_other_file_leaves_it_as_it_is(shop: CommandLine, name: str) -> None:
    target: Path = shop.folder / name
    if not target.exists():
        target.write_text("a last line without an end")
    before = target.read_bytes()
    line = f"modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r pi-18.pub -o {name}"
    refused = shop.shell(line)
    assert (refused.code, "not a file of grants" in refused.err) == (5, True)
    assert target.read_bytes() == before


def test_what_an_administrator_did_not_verify_is_not_granted(shop: CommandLine) -> None:
    for command in (
        "grant model.keep -k file:admin.pem -r pi-18.pub",
        "keys rotate admin.pem new.pem model.keep",
    ):
        refused = shop.shell(f"modelkeep {command}")
        assert (refused.code, "nobody is trusted" in refused.err) == (2, True)
    shop.ok("modelkeep keys create --kind signing impostor.pem > impostor.pub")
    dressed = (
        "modelkeep seal model.onnx --model-id acme/cheap -s impostor.pem --admin admin.pub -o dressed.keep"
    )
    shop.ok(dressed)
    line = "modelkeep grant dressed.keep -k file:admin.pem -t publisher.pub -r pi-18.pub"
    assert shop.shell(line).code == 3
    assert not (shop.folder / "dressed.keep.grants").exists()


def test_who_got_what_is_said(shop: CommandLine) -> None:
    sealed = shop.ok("modelkeep seal model.onnx -s publisher.pem -r pi-17.pub --admin admin.pub -o new.keep")
    assert "for 2 recipients: pi-17, admin (may grant)" in sealed.err
    granted = shop.ok("modelkeep grant new.keep -k file:admin.pem -t publisher.pub -r pi-18.pub --json")
    assert "granted to 1 recipient: pi-18" in granted.err
    assert (granted.json["new"], granted.json["recipients"], granted.json["admins"]) == (1, ["pi-18"], [])
