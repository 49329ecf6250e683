"""Repositories as people make and fill them, on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelkeep.cli.vocabulary import MEMBERS
from support.command_line import CommandLine
from support.workshop import scale_model

PEOPLE = ("alice", "bob", "carol")
ROLES = "-s models.pem -s phase.pem -s online.pem"
BEGIN = "modelkeep repo init releases --threshold 2 --models acme/* " + " ".join(
    f"--person {name}" for name in PEOPLE
)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    for name, weight in (("good", 2.0), ("bad", 3.0)):
        (tmp_path / f"{name}.onnx").write_bytes(scale_model(weight, 4))
    return CommandLine(tmp_path, capsys)


def make_keys(line: CommandLine, missing: list[str]) -> str:
    """Makes what is missing, as the ceremony says; returns the options that bring it."""
    told = line.ok("modelkeep repo init releases").err
    for place in missing:
        command = next(each for each in told.splitlines() if each.startswith(f"missing: {place}:"))
        line.ok(command.split(": ", 2)[2])
    return " ".join(f"--key {place}={place}.pub" for place in missing)


def results(line: CommandLine, command: str) -> Any:
    facts = line.ok(f"modelkeep repo {command} --json").json
    assert facts.keys() <= MEMBERS.keys(), facts.keys() - MEMBERS.keys()
    return facts


def test_from_a_ceremony_to_a_release_that_is_taken_back(line: CommandLine) -> None:
    begun = line.ok(f"{BEGIN} --json").json
    assert begun["digest"] is None and "alice.trust" in begun["missing"]
    brought = results(line, f"init releases {make_keys(line, begun['missing'])}")
    assert brought["missing"] == [] and not brought["published"]
    yes = f"--yes {brought['digest']}"
    refused = line.shell("modelkeep repo init releases -s alice.channel.pem")
    assert refused.code == 2 and brought["digest"] in refused.err
    results(line, f"init releases --trust-signer alice.trust.pem {yes}")
    signed = results(line, f"init releases --trust-signer bob.trust.pem -s bob.channel.pem {yes}")
    assert [each["signed"] for each in signed["waiting"]] == [2, 2, 1, 1, 0, 0, 0, 0]
    done = results(line, f"init releases -s carol.channel.pem {ROLES} {yes}")
    assert done["published"]

    for name in ("admin", "pi-17"):
        line.ok(f"modelkeep keys create {name}.pem > {name}.pub")
    seal = "modelkeep seal {}.onnx -s publisher.pem -r pi-17.pub --admin admin.pub --model-id acme/detector"
    line.ok(f"{seal.format('good')} --epoch 1 -o v1.keep")
    line.ok(f"{seal.format('bad')} --epoch 2 -o v2.keep")
    first = results(line, f"publish releases v1.keep {ROLES} --share 100%")
    second = results(line, f"publish releases v2.keep {ROLES} --requires-modelkeep 0.1.0")
    assert (first["copied"], second["epoch"]) == (first["size"], 2)
    phase = results(line, "phase releases acme/detector -s phase.pem -s online.pem --share 2.5% --pause")
    assert (phase["offers"][0]["share"], phase["offers"][0]["paused"]) == (25, True)
    promoted = results(line, "promote releases acme/detector -s phase.pem -s online.pem")
    assert [each["share"] for each in promoted["offers"]] == [1000, 1000]

    again = "--again v1.keep -k admin.pem --bundle-signer publisher.pem -r pi-17.pub -o v3.keep"
    withdrawn = results(line, f"withdraw releases v2.keep {ROLES} {again}")
    assert (withdrawn["bundle"], withdrawn["replacement"]["epoch"]) == (second["bundle"], 3)
    revoke_and_refresh(line, second["bundle"])
    status = line.ok("modelkeep repo status releases --every-byte --json").json
    assert [each["withdrawn"] for each in status["releases"]] == [False, True, False]
    assert status["trust"]["number"] == 2
    assert "withdrawn" in line.ok("modelkeep repo status releases").out


def revoke_and_refresh(line: CommandLine, bundle: str) -> None:
    trust = next(Path("releases/targets/trust").glob("*.trust.json"))
    line.ok(f"modelkeep trust next {trust} --revoke-bundle {bundle} -o next.json")
    line.ok("modelkeep trust sign next.json -s alice.trust.pem -s bob.trust.pem --yes")
    people = "-s alice.channel.pem -s bob.channel.pem"
    revoked = results(line, f"revoke releases {bundle} --trust next.json {people} {ROLES}")
    assert revoked["bundle"] == bundle
    assert results(line, "refresh releases -s online.pem")["renewed"] == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("init releases --person alice", "people, a threshold and models"),
        ("init releases --person a --person b --threshold 2 --models *", "if one key is lost"),
        ("init releases --person a --threshold 2 --models * --no-spare", "the threshold lies between"),
        ("init releases --person A --threshold 1 --models * --no-spare", "people have different names"),
        ("init releases --person a --threshold 1 --models 'x y=*' --no-spare", "not a family"),
        ("init releases", "no ceremony has begun"),
        ("init releases --key alice.trust", "not a place and a key"),
        ("status releases", "no repository is there"),
        ("publish releases good.onnx", "no repository is there"),
        ("publish releases good.onnx --share 10", "not a share of devices"),
        ("publish releases good.onnx --requires-modelkeep 1", "not a version"),
        ("phase releases acme/detector", "nothing is to be changed"),
        ("phase releases acme/detector --pause --resume", "exclude each other"),
        ("withdraw releases " + "0" * 32, "no repository is there"),
    ],
)
def test_what_is_wrong_is_said(line: CommandLine, command: str, message: str) -> None:
    line.ok("modelkeep keys create --kind channel key.pem")
    signer = "" if command.startswith(("init", "status")) else " -s key.pem"
    result = line.shell(f"modelkeep repo {command}{signer}")
    assert result.code == 2, result.err
    assert message in result.err
