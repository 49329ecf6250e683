"""Carriers of releases besides Mender: RAUC, SWUpdate, rsync and a stick, by `examples/carriers`."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from modelkeep.golden import Golden, GoldenCase
from support.needs import missing, require
from support.slots import slots_with
from support.workshop import MODEL_ID, Workshop

CARRIERS = Path(__file__).parents[2] / "examples" / "carriers"
X = np.array([[1, 2, 3, 4]], np.float32)
WRONG = Golden((GoldenCase({"x": X}, {"y": X}),))

_BUS = """<busconfig><type>system</type><listen>unix:path=bus</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>"""
_BOARD = """[system]
compatible=board
bootloader=noop
mountprefix={0}/mnt
statusfile={0}/rauc.status
[keyring]
path={0}/fleet.crt
[slot.rootfs.0]
device={0}/slot
type=raw
bootname=A
[slot.model-detector.0]
device={0}/slot
type=raw
"""


class Board:
    """A device with slots of the usual model, in which one that doubles counts, and an updater of its own."""

    def __init__(self, workshop: Workshop) -> None:
        self.folder = folder = workshop.folder
        self._workshop = workshop
        self.slots = slots_with(workshop, 2.0)
        (folder / "slots").rename(folder / "detector")
        (folder / "publisher.pub").write_bytes(workshop.publisher_public)
        settings = {"KEY": f"file:{workshop.device}", "TRUST": folder / "publisher.pub", "MODEL_ID": MODEL_ID}
        lines = [f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()]
        (folder / "detector.conf").write_text("".join(lines))
        self.environment = {
            **os.environ,
            "MODELKEEP_SLOTS": str(folder),
            "MODELKEEP_CONFIGURATION": str(folder),
            "PATH": f"{CARRIERS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/bus",
        }

    def release(self, weight: float, golden: Golden | None = None) -> Path:
        return self._workshop.seal(self._workshop.model(weight), golden=golden)

    def factor(self) -> float:
        """Returns what the model that counts multiplies with."""
        with self._workshop.open(self.folder / "detector") as session:
            return float(session.run({"x": X})["y"][0, 0])

    def run(self, line: str, **more: str) -> int:
        """Runs a command line in the board's folder; returns its exit code."""
        done = subprocess.run(
            ["sh", "-ec", line],
            cwd=self.folder,
            env=self.environment | more,
            check=False,
            capture_output=True,
            text=True,
        )
        print(done.stdout, done.stderr)
        return done.returncode

    def certify(self) -> None:
        """Makes the key with which the fleet signs what its updater carries."""
        extension = "-addext extendedKeyUsage=emailProtection -days 90"
        key = "-newkey rsa:2048 -nodes -keyout fleet.key -out fleet.crt -subj /CN=fleet"
        assert self.run(f"openssl req -x509 {key} {extension}") == 0


@pytest.fixture
def board(workshop: Workshop) -> Board:
    return Board(workshop)


@pytest.mark.slow
def test_rsync_and_a_stick(board: Board) -> None:
    require("rsync")
    os.link(board.release(3.0), board.folder / "detector.keep")
    assert (
        board.run(
            "rsync --partial detector.keep incoming/ && modelkeep-carry detector incoming/detector.keep"
        )
        == 0
    )
    assert board.factor() == 3.0
    stick = board.folder / "stick"
    stick.mkdir()
    os.link(board.release(4.0), stick / "detector.keep")
    assert board.run("cat stick/detector.keep | modelkeep-carry detector -") == 0
    assert board.factor() == 4.0
    assert board.run(f"modelkeep-carry detector {board.release(5.0, WRONG)}") == 3
    assert board.factor() == 4.0


@pytest.mark.slow
def test_a_release_is_carried_by_swupdate(board: Board) -> None:
    require("swupdate")
    board.certify()
    for weight, golden, code in ((3.0, None, 0), (4.0, WRONG, 1)):
        board.release(weight, golden).replace(board.folder / "detector.keep")
        shutil.copy(CARRIERS / "swupdate-script", board.folder)
        (board.folder / "sw-description").write_text(_described(board.folder))
        signing = "openssl cms -sign -in sw-description -out sw-description.sig -signer fleet.crt"
        names = "sw-description\\nsw-description.sig\\ndetector.keep\\nswupdate-script\\n"
        assert board.run(f"{signing} -inkey fleet.key -outform DER -nosmimecap -binary") == 0
        assert board.run(f"printf '{names}' | cpio -o -H crc > update.swu") == 0
        arrived = str(board.folder / "arrived.keep")
        done = board.run("swupdate -k fleet.crt -H board:1.0 -m -M -i update.swu", MODELKEEP_ARRIVED=arrived)
        assert (bool(done), Path(arrived).exists()) == (bool(code), False)
        assert board.factor() == 3.0


def _described(folder: Path) -> str:
    text = (CARRIERS / "sw-description").read_text()
    text = text.replace("/var/lib/modelkeep/detector.arrived", str(folder / "arrived.keep"))
    return re.sub(
        "@SHA256 ([a-z.-]+)", lambda found: hashlib.sha256((folder / found[1]).read_bytes()).hexdigest(), text
    )


@pytest.mark.slow
def test_a_release_is_carried_by_rauc(board: Board) -> None:
    require("rauc")
    require("mksquashfs", "squashfs-tools")
    require("dbus-daemon")
    if os.geteuid() or not Path("/dev/loop-control").exists():
        missing("RAUC mounts its bundles, which takes root and loop devices")
    board.certify()
    (board.folder / "system.conf").write_text(_BOARD.format(board.folder))
    (board.folder / "bus.conf").write_text(_BUS)
    (board.folder / "slot").touch()
    (board.folder / "mnt").mkdir()
    with running(board, "dbus-daemon --config-file=bus.conf --nofork", board.folder / "bus"):
        service = "rauc -c system.conf --override-boot-slot=A service"
        with running(board, service, board.folder / "rauc.status"):
            for weight, golden, factor in ((3.0, None, 3.0), (4.0, WRONG, 3.0)):
                assert board.run(_bundling(board, board.release(weight, golden))) == 0
                code = board.run("rauc -c system.conf install update.raucb")
                assert (bool(code), board.factor()) == (golden is not None, factor)


def _bundling(board: Board, bundle: Path) -> str:
    content = board.folder / "content"
    shutil.rmtree(content, ignore_errors=True)
    content.mkdir()
    for name in ("rauc-hook", "manifest.raucm"):
        shutil.copy(CARRIERS / name, content)
    shutil.copy(bundle, content / "detector.keep")
    keys = "--cert=fleet.crt --key=fleet.key --keyring=fleet.crt"
    return f"rm -f update.raucb; rauc {keys} bundle content update.raucb"


@contextmanager
def running(board: Board, line: str, sign: Path) -> Iterator[None]:
    """Runs a service until it shows a sign of life, and for the length of a `with` block."""
    with (board.folder / "services.log").open("a") as log:
        process = subprocess.Popen(
            shlex.split(line), cwd=board.folder, env=board.environment, stdout=log, stderr=log
        )
    try:
        for _ in range(100):
            if sign.exists():
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()
        print((board.folder / "services.log").read_text())
