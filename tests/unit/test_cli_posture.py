"""Grants that ask for a posture by name, and keys that cannot prove anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelkeep.cli import objects
from modelkeep.posture.evidence import Evidence
from modelkeep.probes.local import local_findings, posture_names
from support.command_line import CommandLine

RUN = "modelkeep run {} -k file:pi-17.pem -t publisher.pub -i x=x.npy"


def seal(shop: CommandLine, name: str) -> str:
    target = f"{name}.keep"
    shop.ok(f"modelkeep seal model.onnx -r pi-17.pub -s publisher.pem --posture {name} -o {target}")
    return target


def test_a_grant_that_asks_for_a_posture_opens_where_the_device_finds_it(
    shop: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = seal(shop, "kernel-lockdown")
    # Which of these this machine has is its own affair; both kinds of answer are tried.
    monkeypatch.setattr(objects, "posture_names", lambda _findings: frozenset({"kernel-lockdown"}))
    shop.ok(RUN.format(bundle))
    shop.ok(f"modelkeep install {bundle} -k file:pi-17.pem -t publisher.pub --any-model -o installed.keep")
    monkeypatch.setattr(objects, "posture_names", lambda _findings: frozenset({"no-swap"}))
    for refused in (bundle, "installed.keep"):
        result = shop.shell(RUN.format(refused))
        assert (result.code, "kernel-lockdown" in result.err) == (3, True)


def test_a_name_that_nobody_finds_is_refused(shop: CommandLine) -> None:
    assert shop.shell(RUN.format(seal(shop, "verified-boot"))).code == 3


def test_every_name_that_is_found_here_opens(shop: CommandLine) -> None:
    for name in sorted(posture_names(local_findings(model=Path("model.onnx"))))[:1]:
        shop.ok(RUN.format(seal(shop, name)))


def test_a_key_in_a_file_has_claims_alone(shop: CommandLine) -> None:
    shop.ok("modelkeep keys attest file:pi-17.pem -o evidence.json")
    evidence = Evidence.from_bytes((shop.folder / "evidence.json").read_bytes())
    assert (evidence.tpm, evidence.nonce) == (None, None)
    assert "no-swap" in evidence.claims
    shop.ok("modelkeep posture ask --origin acme -o question.json --keep kept.json")
    shop.ok("modelkeep keys attest file:pi-17.pem --challenge question.json -o answer.json")
    policy = 'format = "modelkeep/posture-policy"\nversion = 1\n[prove]\nsecure-boot = true\n'
    (shop.folder / "policy.toml").write_text(policy)
    line = "modelkeep posture judge answer.json --asked kept.json --policy policy.toml"
    assert shop.shell(line).code == 3
    shown = shop.ok("modelkeep posture judge answer.json --asked kept.json --unsafe-no-policy --json").out
    assert {each["standing"] for each in json.loads(shown)["findings"]} == {"claimed"}


def test_keys_of_other_kinds_have_no_evidence(command: CommandLine) -> None:
    command.ok("modelkeep keys create file:x.pem --kind x25519")
    assert command.shell("modelkeep keys attest file:x.pem -o evidence.json").code == 2


def test_policies_of_keys_are_computed_without_a_tpm(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create file:authority.pem --kind signing > authority.pub")
    plain = shop.ok("modelkeep posture key-policy --authority authority.pub").out
    protected = shop.ok("modelkeep posture key-policy --authority authority.pub --passphrase").out
    assert len(plain.strip()) == len(protected.strip()) == 64
    assert plain != protected
