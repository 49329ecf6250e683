"""Somebody who edits what an administrator reads, or names what the administrator's command writes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("blank", [" ", "\t"])
def test_a_recipient_behind_blanks_that_fill_a_window_is_refused(shop: CommandLine, blank: str) -> None:
    lines = [(shop.folder / f"pi-{number}.pub").read_text().strip() for number in (17, 18)]
    for hidden in (lines[1], json.dumps({"recipient": lines[1]})):
        (shop.folder / "devices").write_text(f"{lines[0]}\n{blank * 4000}{hidden}\n")
        for command in ("-r devices", "--recipients devices -o fleet"):
            refused = shop.shell(f"modelkeep grant model.keep -k file:admin.pem -t publisher.pub {command}")
            assert (refused.code, "line 2" in refused.err) == (5, True)


def test_a_key_under_two_names_is_not_taken_for_two_devices(shop: CommandLine) -> None:
    line = (shop.folder / "pi-17.pub").read_text().strip()
    (shop.folder / "devices").write_text(f"{line}\n{line.replace('pi-17', 'pi-18')}\n")
    grant = "modelkeep grant model.keep -k file:admin.pem -t publisher.pub"
    seal = "modelkeep seal model.onnx -s publisher.pem -o two.keep"
    for command in (f"{grant} -r devices", f"{seal} -r devices"):
        refused = shop.shell(command)
        assert (refused.code, "pi-17 and pi-18 have one key" in refused.err) == (2, True)
    refused = shop.shell(f"{grant} --recipients devices -o fleet")
    assert (refused.code, "line 2: pi-17 and pi-18 have one key" in refused.err) == (5, True)
    assert not (shop.folder / "fleet").exists()


def test_a_key_that_stands_there_twice_is_not_counted_as_two(shop: CommandLine) -> None:
    line = (shop.folder / "pi-17.pub").read_text().strip()
    (shop.folder / "devices").write_text(f"{line}\n{line}\n")
    grant = "modelkeep grant model.keep -k file:admin.pem -t publisher.pub"
    seal = "modelkeep seal model.onnx -s publisher.pem -o two.keep"
    for command in (f"{grant} -r devices", f"{seal} -r devices", f"{seal} -r pi-17.pub --admin pi-17.pub"):
        refused = shop.shell(command)
        assert (refused.code, "pi-17 stands there twice" in refused.err) == (2, True)
    refused = shop.shell(f"{grant} --recipients devices -o fleet")
    assert (refused.code, "line 2: pi-17 stands there twice" in refused.err) == (5, True)
    # Under other terms, it is another grant.
    (shop.folder / "devices").write_text(json.dumps({"recipient": line, "posture": ["boot"]}) + f"\n{line}\n")
    assert shop.shell(f"{grant} --recipients devices -o fleet").code == 0


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


def test_a_list_makes_no_admins_unless_that_was_asked_for(shop: CommandLine) -> None:
    lines = [(shop.folder / f"pi-{number}.pub").read_text().strip() for number in (17, 18)]
    boss = json.dumps({"recipient": lines[1], "delegate": True})
    (shop.folder / "devices.jsonl").write_text(f"{lines[0]}\n{boss}\n")
    grant = (
        "modelkeep grant model.keep -k file:admin.pem -t publisher.pub --recipients devices.jsonl -o fleet"
    )
    refused = shop.shell(grant)
    assert (refused.code, "line 2: would let pi-18 grant to others" in refused.err) == (2, True)
    assert not (shop.folder / "fleet").exists()
    granted = shop.ok(f"{grant} --with-admins --json")
    assert "pi-18 (may grant)" in granted.err
    assert (granted.json["recipients"], granted.json["admins"]) == (["pi-17"], ["pi-18"])


@pytest.mark.parametrize("with_admins", [False, True])
def test_a_list_that_changes_after_it_was_looked_at_is_not_gone_by(
    workshop: Workshop, with_admins: bool
) -> None:
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")])
    devices, output = workshop.folder / "devices.jsonl", workshop.folder / "grants.jsonl"
    line, mine = public(workshop, "line-4"), public(workshop, "mine")
    admin = json.dumps({"recipient": mine, "delegate": True})

    def grant_all(meanwhile: str) -> None:
        devices.write_text(f"{line}\n")
        options: dict[str, Any] = {
            "identity": workshop.identity(),
            "verifier": workshop.verifier(),
            "with_admins": with_admins,
        }
        mk.grant_all(bundle, devices, output, **options, progress=lambda _count: write(devices, meanwhile))

    for text in (f"{mine}\n", f"{admin}\n", f"{line}\n{mine}\n", f"{line}\n{admin}\n", ""):
        with pytest.raises(mk.UsageError, match="was changed while it was read"):
            grant_all(meanwhile=text)
        assert not output.exists()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def test_an_empty_list_is_not_done(shop: CommandLine) -> None:
    (shop.folder / "devices.jsonl").write_text("# nobody yet\n")
    grant = (
        "modelkeep grant model.keep -k file:admin.pem -t publisher.pub --recipients devices.jsonl -o fleet"
    )
    refused = shop.shell(grant)
    assert (refused.code, "names no device" in refused.err) == (2, True)
    assert not (shop.folder / "fleet").exists()


def test_an_end_that_the_own_grant_brings_is_said(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create file:boss.pem > boss.pub")
    verified = "-t publisher.pub --json"
    line = f"modelkeep grant model.keep -k file:admin.pem --admin boss.pub --not-after 2099-01-01 {verified}"
    assert "granter's own grant" not in shop.ok(line).err
    for asked in ("", "--not-after 2099-06-01"):
        granted = shop.ok(f"modelkeep grant model.keep -k file:boss.pem -r pi-18.pub {asked} {verified}")
        assert "until 2099-01-01T00:00:00Z, when the granter's own grant ends" in granted.err
        assert granted.json["constraints"] == {"not_after": 4070908800}


def test_rotating_says_what_was_granted_to_whom(shop: CommandLine) -> None:
    rotated = shop.ok("modelkeep keys rotate file:admin.pem file:newer.pem model.keep -t publisher.pub")
    assert "model.keep: granted to admin (may grant), in model.keep.grants" in rotated.err


def test_grant_that_no_device_could_open_is_not_made(shop: CommandLine) -> None:
    for name in ("issuer", "other"):
        shop.ok(f"modelkeep keys create --kind signing {name}.pem")
    seal = (
        "modelkeep seal model.onnx -r pi-17.pub --admin admin.pub -s publisher.pem --grant-signer issuer.pem"
    )
    shop.ok(f"{seal} -o signed.keep")
    grant = "modelkeep grant signed.keep -k admin.pem -t publisher.pub --grant-signer"
    for wrong in ("other.pem", "publisher.pem"):
        refused = shop.shell(f"{grant} {wrong} -r pi-18.pub")
        assert (refused.code, "takes no grants that this key signs" in refused.err) == (2, True)
        assert shop.shell(f"{grant} {wrong} --recipients pi-18.pub -o fleet.grants").code == 2
    device = (shop.folder / "pi-18.pub").read_text().strip()
    (shop.folder / "list.jsonl").write_text(f'{{"recipient": "{device}", "not_after": 5}}\n')
    ended = shop.shell(f"{grant} issuer.pem --recipients list.jsonl -o fleet.grants")
    assert (ended.code, "not_after has passed" in ended.err) == (2, True)
    assert not (shop.folder / "fleet.grants").exists() and not (shop.folder / "signed.keep.grants").exists()
    assert shop.ok(f"{grant} issuer.pem --recipients pi-18.pub -o fleet.grants --json").json["new"] == 1
