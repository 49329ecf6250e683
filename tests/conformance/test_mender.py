"""The update module for Mender, under Debian's client: streamed, tried at the commit, or rolled back."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from modelkeep.golden import Golden, GoldenCase
from modelkeep.updates.slots import Slots
from support.needs import missing, require
from support.slots import slots_with
from support.workshop import MODEL_ID, Workshop

MODULE = Path(__file__).parents[2] / "examples" / "mender"
MODULES = "/usr/share/mender/modules/v3"
X = np.array([[1, 2, 3, 4]], np.float32)


class Mender:
    """A device with Mender's client and slots of the usual model, in which one that doubles counts."""

    def __init__(self, workshop: Workshop) -> None:
        require("mender", "mender-client")
        require("mender-artifact")
        self._workshop, folder = workshop, workshop.folder
        self.slots = slots_with(workshop, 2.0)
        (folder / "publisher.pub").write_bytes(workshop.publisher_public)
        settings = {"KEY": f"file:{workshop.device}", "TRUST": folder / "publisher.pub", "MODEL_ID": MODEL_ID}
        lines = [f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()]
        (folder / "slots.conf").write_text("".join(lines))
        self._data, self._settings = folder / "mender", folder / "etc"
        self._data.mkdir()
        (self._data / "device_type").write_text("device_type=test\n")
        self._settings.mkdir()
        (self._settings / "artifact_info").write_text("artifact_name=first\n")
        (self._settings / "mender.conf").write_text("{}")
        self._environment = {
            **os.environ,
            "MODELKEEP_SLOTS": str(folder),
            "MODELKEEP_CONFIGURATION": str(folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def artifact(self, weight: float, golden: Golden | None = None) -> Path:
        """Returns a release as Mender carries it."""
        bundle = self._workshop.seal(self._workshop.model(weight), golden=golden)
        about = self._workshop.folder / "meta.json"
        about.write_text(json.dumps({"model": "slots"}))
        target = bundle.with_suffix(".mender")
        kind = ["-T", "modelkeep", "-t", "test", "-n", bundle.stem]
        command = ["mender-artifact", "write", "module-image", *kind]
        command += ["-f", str(bundle), "-m", str(about), "-o", str(target)]
        subprocess.run(command, check=True, capture_output=True)
        return target

    def __call__(self, *arguments: object) -> int:
        """Runs the client, which knows one place for modules and one for settings; returns its exit code."""
        places = {MODULE: MODULES, self._settings: "/etc/mender"}
        binds = [f"mount --bind {shlex.quote(str(here))} {there}" for here, there in places.items()]
        inside = " && ".join([*binds, 'exec mender "$@"'])
        options = ["--no-syslog", "-d", str(self._data)]
        command = ["unshare", "-rm", "sh", "-c", inside, "mender", *options, *map(str, arguments)]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        return done.returncode


@pytest.fixture
def mender(workshop: Workshop) -> Mender:
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        missing("no mount namespaces here")
    return Mender(workshop)


def factor(workshop: Workshop, slots: Slots) -> float:
    with workshop.open(slots.folder.path) as session:
        return float(session.run({"x": X})["y"][0, 0])


def test_a_release_is_carried_by_mender(workshop: Workshop, mender: Mender) -> None:
    slots = mender.slots
    assert mender("install", mender.artifact(3.0)) == 0
    assert factor(workshop, slots) == 2.0 and slots.staged() is not None
    assert mender("commit") == 0
    assert factor(workshop, slots) == 3.0
    wrong = Golden((GoldenCase({"x": X}, {"y": X}),))
    assert mender("install", mender.artifact(4.0, wrong)) == 0
    assert mender("commit") != 0, "the trial says no"
    assert factor(workshop, slots) == 3.0
    assert mender("install", mender.artifact(5.0)) == 0
    assert mender("rollback") == 0
    assert factor(workshop, slots) == 3.0 and slots.staged() is None
