"""Asking a device with a TPM and judging its answer, on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.command_line import CommandLine
from support.swtpm import SoftwareTpm

POLICY = """format = "modelkeep/posture-policy"
version = 1
[prove]
key-protection = "tpm"
pcr-7 = "PCR"
key-policy = "POLICY"
"""


@pytest.fixture
def asked(command: CommandLine, manufactured: Path, tpm: SoftwareTpm) -> CommandLine:
    """A device that introduced itself, and was asked."""
    shutil.copy(manufactured / "authority" / "issuercert.pem", command.folder / "maker.pem")
    command.ok("modelkeep keys create tpm2:pi-17.tpm > pi-17.pub")
    command.ok("modelkeep keys attest tpm2:pi-17.tpm -o hello.json")
    command.ok(
        "modelkeep posture ask hello.json --origin acme --tpm-maker maker.pem"
        " -o question.json --keep kept.json"
    )
    return command


def test_a_key_that_is_bound_to_nothing_is_told_of(command: CommandLine, tpm: SoftwareTpm) -> None:
    made = command.ok("modelkeep keys create tpm2:empty.tpm")
    assert "PCR 7 holds zeros alone" in made.err
    tpm.extend(7, b"\1" * 32)
    made = command.ok("modelkeep keys create tpm2:bound.tpm")
    assert "zeros" not in made.err


def write_policy(command: CommandLine, pcr: str = "0" * 64) -> None:
    (command.folder / "pcrs.json").write_text(json.dumps({"7": "0" * 64}))
    digest = command.ok("modelkeep posture key-policy --values pcrs.json").out.strip()
    text = POLICY.replace("PCR", pcr).replace("POLICY", digest)
    (command.folder / "policy.toml").write_text(text)


def test_a_device_is_asked_and_judged(asked: CommandLine) -> None:
    assert (asked.folder / "kept.json").stat().st_mode & 0o777 == 0o600
    asked.ok("modelkeep keys attest tpm2:pi-17.tpm --challenge question.json -o answer.json")
    write_policy(asked)
    line = "modelkeep posture judge answer.json --asked kept.json --tpm-maker maker.pem --policy policy.toml"
    judged = asked.ok(line)
    assert "accepted" in judged.err
    assert "key-protection" in judged.out
    verdict = asked.ok(f"{line} --json").json
    assert verdict["accepted"]
    assert verdict["hardware"].startswith("tpm:")
    proven = {each["name"] for each in verdict["findings"] if each["standing"] == "proven"}
    assert {"key-protection", "key-policy", "pcr-7", "tpm-model"} <= proven
    # What the device says of itself is there, and is no proof.
    assert {"no-swap", "secure-boot"} <= {each["name"] for each in verdict["findings"]} - proven


def test_a_refused_device_ends_with_its_own_exit_code(asked: CommandLine) -> None:
    asked.ok("modelkeep keys attest tpm2:pi-17.tpm --challenge question.json -o answer.json")
    write_policy(asked, pcr="1" * 64)
    line = "modelkeep posture judge answer.json --asked kept.json --tpm-maker maker.pem --policy policy.toml"
    refused = asked.shell(line)
    assert (refused.code, "pcr-7 is" in refused.err) == (3, True)
    nobody = asked.shell(line.replace("--tpm-maker maker.pem", ""))
    assert (nobody.code, "no maker that is believed" in nobody.err) == (3, True)
    unasked = asked.shell(line.replace("--asked kept.json", ""))
    assert (unasked.code, "answers no question" in unasked.err) == (3, True)


def test_a_device_in_an_unapproved_state_shows_it(asked: CommandLine, tpm: SoftwareTpm) -> None:
    tpm.extend(7, b"\1" * 32)
    answer = "modelkeep keys attest tpm2:pi-17.tpm --challenge question.json -o answer.json"
    assert asked.shell(answer).code == 6
    asked.ok(f"{answer} --unapproved")
    line = "modelkeep posture judge answer.json --asked kept.json --tpm-maker maker.pem"
    verdict = asked.ok(f"{line} --unsafe-no-policy --json").json
    findings = {each["name"]: each for each in verdict["findings"]}
    assert findings["pcr-7"]["standing"] == "proven"
    assert findings["pcr-7"]["value"] != "0" * 64
