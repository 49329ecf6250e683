"""The units for systemd: it takes them, and their commands, run one after the other, update a device."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from modelkeep.bundle.access import Access
from modelkeep.probes.local import local_findings, posture_names
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial_notes import MOST_POSTPONEMENTS, TrialEnd
from support.needs import require
from support.slots import slots_with, stage
from support.web import giving, serving
from support.workshop import MODEL_ID, Workshop

UNITS = Path(__file__).parents[2] / "examples" / "systemd"
COMMAND = Path(sys.executable).with_name("modelkeep")


@pytest.fixture
def slots(workshop: Workshop) -> Slots:
    """Slots in which a model that doubles counts."""
    (workshop.folder / "publisher.pub").write_bytes(workshop.publisher_public)
    return slots_with(workshop, 2.0)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    require("systemd-analyze", "systemd")
    for unit in UNITS.glob("modelkeep-update@.*"):
        # It looks for the command, which is somewhere else here.
        text = unit.read_text().replace("/usr/bin/modelkeep", str(COMMAND))
        (tmp_path / unit.name.replace("@", "@detector")).write_text(text)
    service = tmp_path / "modelkeep-update@detector.service"
    dropped = tmp_path / f"{service.name}.d"
    dropped.mkdir()
    (dropped / "tpm.conf").write_text((UNITS / "tpm.conf").read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(service), str(service.with_suffix(".timer"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_may_confine_what_it_isolates() -> None:
    """What systemd denies, a process cannot use to confine itself, and goes on without."""
    unit = (UNITS / "modelkeep-update@.service").read_text()
    allowed = re.findall("^SystemCallFilter=(.*)$", unit, re.MULTILINE)[0].split()
    confining = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"}
    assert {"@system-service", "memfd_secret", *confining} <= set(allowed)


def commands(kind: str) -> list[str]:
    """Returns the commands of the service's lines of one kind."""
    lines = (UNITS / "modelkeep-update@.service").read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{kind}=")]


def run_service(workshop: Workshop, url: str) -> list[int]:
    """Runs what systemd would, until one fails that may not; returns the exit codes."""
    settings = {
        "URL": url,
        "KEY": f"file:{workshop.device}",
        "TRUST": str(workshop.folder / "publisher.pub"),
        "MODEL_ID": MODEL_ID,
    }
    place = str(workshop.folder / "slots")
    codes: list[int] = []
    for line in [*commands("ExecStart"), *commands("ExecStopPost")]:
        placed = (
            line.removeprefix("-")
            .replace("/var/lib/modelkeep/%i", place)
            .replace("/usr/bin/modelkeep", str(COMMAND))
        )
        words = shlex.split(re.sub(r"\$\{(\w+)\}", lambda found: settings[found[1]], placed))
        done = subprocess.run(words, env=os.environ | settings, check=False, capture_output=True)
        codes.append(done.returncode)
        if done.returncode and not line.startswith("-"):
            break
    return codes


def test_the_commands_of_the_service_update_a_device(workshop: Workshop, slots: Slots) -> None:
    bundle = workshop.seal(workshop.model(3.0))
    with serving(giving(bundle.read_bytes())) as web:
        assert run_service(workshop, web.url) == [0, 0, 0, 0]
    assert slots.primary() == "b"
    status = (workshop.folder / "slots.json").read_text()
    assert '"stage": "current"' in status or '"stage":"current"' in status


def test_a_release_that_cannot_be_tried_keeps_no_newer_one_away(workshop: Workshop, slots: Slots) -> None:
    stage(workshop, slots, 3.0)
    found = posture_names(local_findings(model=slots.folder.path))
    tried = Slots.open(slots.folder.path, Access(workshop.identity(), workshop.verifier(), posture=found))
    for _ in range(MOST_POSTPONEMENTS):
        tried.end_trial(tried.begin_trial("b"), TrialEnd.POSTPONED)
    newer = workshop.seal(workshop.model(4.0), epoch=2)
    with serving(giving(newer.read_bytes())) as web:
        first, *others = run_service(workshop, web.url)
    assert first and others == [0, 0, 0]
    known = slots.state("b").known
    assert slots.primary() == "b" and known is not None and known.mark.order.epoch == 2


def test_the_settings_are_complete() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string("[all]\n" + (UNITS / "detector.conf").read_text())
    used = set(re.findall(r"\$\{?(\w+)", (UNITS / "modelkeep-update@.service").read_text()))
    assert used == {name.upper() for name in parser["all"]}
