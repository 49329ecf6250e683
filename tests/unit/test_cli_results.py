"""What commands say to machines: each has `--json`, with one vocabulary."""

from __future__ import annotations

import argparse
import functools
import re
from pathlib import Path
from typing import Any

import pytest

from modelkeep import cli
from modelkeep.cli.parser import COMMANDS, build_parser
from modelkeep.cli.vocabulary import MEMBERS
from modelkeep.errors import UsageError
from support.command_line import CommandLine

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
# In this order, in one folder: a command, and what its result says at least.
CASES = """
keys create --kind root root.pem
    key public
keys create new.pem
    key public
keys list file:.
    keys
keys show new.pem
    key public
seal model.onnx -s publisher.pem -r pi-17.pub --admin admin.pub -o a.keep --epoch 3
    path source bundle model epoch signer recipients admins constraints
seal model.onnx -s publisher.pem -r pi-17.pub -o b.keep --dry-run
    path model recipients
inspect a.keep
    path bundle model epoch sealed_at signer issuers grants
verify a.keep -t publisher.pub
    path bundle model epoch sealed_at signer size members verified
grant a.keep -k admin.pem -t publisher.pub -r pi-18.pub --not-after +2d
    path source bundle model epoch recipients admins new constraints
grant a.keep -k admin.pem -t publisher.pub --recipients pi-18.pub -o f.grants
    path bundle recipients new total
keys rotate admin.pem admin-2.pem a.keep model.keep -t publisher.pub
    key replaces public granted refused
evidence a.keep -k pi-17.pem -t publisher.pub
    source verified facts requirements
keys delete new.pem --yes
    key deleted
run a.keep -k pi-17.pem -t publisher.pub -i x=x.npy
    bundle model epoch signer outputs notes
extract a.keep -k pi-17.pem -t publisher.pub --any-model --unsafe-plaintext -o clear
    path source model epoch files
install a.keep -k pi-18.pem -t publisher.pub --any-model -o i.keep
    path source bundle model epoch signer before
status i.keep -k pi-18.pem
    path model
slots init slots --model-id acme/other
    path model
slots withdraw slots -k pi-18.pem -t publisher.pub
    path withdrawn
state retire -k pi-18.pem --yes
    device path forgotten
state show -k pi-18.pem
    path device models
keys create --kind plain plain.pem
    key public
sign x.npy -s plain.pem
    path source key
verity format x.npy -s publisher.pem
    path
verity verify x.npy -t publisher.pub
    path
enrol -k pi-17.pem --model acme/detector -o request.json
    path key public models evidence
roster add roster.json --request request.json --expires +90d
    path number digest
roster remove roster.json pi-17 -o empty.json
    path number digest
keys create --kind operator operator.pem
    key public
roster sign roster.json -s operator.pem --yes
    path digest signers
roster show roster.json
    path signatures
trust create -o trust.json --expires +365d --publisher publisher.pub=*
    path digest number
trust next trust.json -o trust-2.json
    path digest number
trust roots --root publisher.pub -o roots.json
    path digest number
trust ticket --device DEVICE --generation GENERATION -o ticket.json --time 2027-01-01
    path digest device
trust sign trust.json -s root.pem --yes
    path digest signers
trust show trust.json
    path signatures verified
posture --model x.npy
    findings
posture key-policy --values values.json
    policy
posture ask --origin acme -o question.json --keep kept.json
    path keep
doctor
    stores
"""
LINES = dict(re.findall(r"^(\S.*)\n    (.*)$", CASES, re.MULTILINE))
# What needs more than a folder; that they have `--json` is tested with the others.
ELSEWHERE = {
    "import": "tests/unit/test_cli_import.py",
    "renew": "tests/unit/test_renewing.py",
    **{
        f"repo {word}": "tests/unit/test_cli_repo.py"
        for word in ("init", "publish", "promote", "phase", "withdraw", "revoke", "refresh", "status")
    },
    "update": "tests/unit/test_cli_update.py",
    "learn": "tests/unit/test_guard_session.py",
    "guard report": "tests/unit/test_guard_report_sealed.py",
    "state forget": "tests/unit/test_cli_state.py",
    "granter": "tests/unit/test_granter.py",
    "granter waiting": "tests/unit/test_granter.py",
    "granter allow": "tests/unit/test_granter.py",
    "granter ask": "tests/unit/test_granter.py",
    "granter audit": "tests/unit/test_granter.py",
    "keys approve": "tests/conformance/test_tpm2_line.py",
    "keys attest": "tests/conformance/test_posture_commands.py",
    "posture judge": "tests/conformance/test_posture_commands.py",
}
WITHOUT_COMMAND = {"posture", "granter"}
# What they print besides is what a store, a kernel, a state or a document of `spec/` says, in its own words.
DOCUMENTS = ("keys show", "doctor", "status", "posture", "state show", "trust", "roster", "verity")


@functools.cache
def leaves() -> dict[str, argparse.ArgumentParser]:
    """Returns the parsers that do something, by their words."""
    found: dict[str, argparse.ArgumentParser] = {}
    for name in COMMANDS:
        parser = build_parser()
        with pytest.raises(UsageError):
            parser.parse_args([name, "--no-such-option", "x"])
        command = parser._subparsers._group_actions[0].choices[name]  # type: ignore[union-attr,index]
        below = [] if command._subparsers is None else command._subparsers._group_actions
        found |= {f"{name} {word}": each for group in below for word, each in group.choices.items()}
        if not below or name in WITHOUT_COMMAND:
            found[name] = command
    return found


def words_of(line: str) -> str:
    first, second, *_ = [*line.split(), ""]
    return f"{first} {second}" if f"{first} {second}" in leaves() else first


def test_every_command_has_results_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    found = leaves()
    for words, parser in found.items():
        assert "--json" in parser._option_string_actions, words
    tried = {words_of(line) for line in LINES}
    assert tried | ELSEWHERE.keys() <= found.keys()


def test_no_command_takes_the_option_for_nothing() -> None:
    for path in Path(cli.__file__).parent.glob("*_command.py"):
        # What a command of commands does may be in a file beside it.
        # `import` ends as `seal` does.
        assert {"print_json", "report", "save"} & set(re.findall(r"\b\w+\b", path.read_text())), path.name


def filled(line: str) -> str:
    return line.replace("DEVICE", "ab" * 32).replace("GENERATION", "cd" * 16)


def check_members(facts: Any, line: str) -> None:
    assert isinstance(facts, dict)
    if not line.startswith(DOCUMENTS):
        assert facts.keys() <= MEMBERS.keys(), f"{line}: {facts.keys() - MEMBERS.keys()}"
    if "bundle" in facts:
        assert re.fullmatch("[0-9a-f]{32}", facts["bundle"])
    if facts.get("path") is not None and "--dry-run" not in line:
        assert Path(facts["path"]).exists()
    for name in ("epoch", "sealed_at", "not_after", "size", "new", "total"):
        assert isinstance(facts.get(name) or 0, int)
    for name in ("recipients", "admins"):
        assert all(isinstance(each, str) and "(" not in each for each in facts.get(name, []))


def test_results_have_one_vocabulary(shop: CommandLine) -> None:
    Path("values.json").write_text('{"7": "' + "00" * 32 + '"}')
    results = {}
    for line, members in LINES.items():
        facts = results[line] = shop.ok(f"modelkeep {filled(line)} --json").json
        check_members(facts, line)
        assert not set(members.split()) - facts.keys(), line
    sealed, granted, fleet, rotated, installed = (
        next(facts for line, facts in results.items() if line.startswith(start))
        for start in (
            "seal",
            "grant",
            "grant a.keep -k admin.pem -t publisher.pub --rec",
            "keys ro",
            "inst",
        )
    )
    assert (sealed["recipients"], sealed["admins"]) == (["pi-17"], ["admin"])
    assert (granted["recipients"], granted["new"], granted["bundle"]) == (["pi-18"], 1, sealed["bundle"])
    assert (fleet["recipients"], fleet["admins"], fleet["total"]) == (["pi-18"], [], 1)
    assert [each["bundle"] for each in rotated["granted"]] == [
        sealed["bundle"],
        rotated["granted"][1]["bundle"],
    ]
    assert rotated["granted"][0]["admins"] == ["admin"]
    assert (installed["bundle"], installed["epoch"], installed["before"]) == (sealed["bundle"], 3, None)
    assert installed["signer"].startswith("key sha256:")


def test_the_vocabulary_is_documented() -> None:
    table = dict(re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE))
    assert {name: table.get(name) for name in MEMBERS} == MEMBERS
