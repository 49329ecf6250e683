"""Installing into slots, and saying what is installed, as people and machines read it."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from modelkeep.updates.trial_notes import MOST_POSTPONEMENTS
from support.command_line import CommandLine
from support.workshop import scale_model, sealing_at

TRUST = "-t publisher.pub --model-id acme/detector"
DEVICE = f"-k file:pi-17.pem {TRUST}"


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """A device with slots that hold release 1, and release 2 at the door."""
    monkeypatch.chdir(tmp_path)
    shop = CommandLine(tmp_path, capsys)
    shop.ok("modelkeep keys create file:pi-17.pem > pi-17.pub")
    shop.ok("modelkeep keys create --kind signing file:publisher.pem > publisher.pub")
    (tmp_path / "detector.onnx").write_bytes(scale_model(2.0, 4))
    for epoch in (1, 2):
        with sealing_at(1_800_000_000 + epoch):
            shop.ok(
                f"modelkeep seal detector.onnx --model-id acme/detector --epoch {epoch} --release 1.{epoch} "
                f"-r pi-17.pub -s publisher.pem -o {epoch}.keep"
            )
    np.save(tmp_path / "x.npy", np.ones((1, 4), np.float32))
    assert "two slots" in shop.ok("modelkeep slots init slots --model-id acme/detector").err
    return shop


def test_slots_from_a_stream_and_what_status_says(shop: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    arriving = io.BytesIO((shop.folder / "1.keep").read_bytes())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=arriving))
    said = shop.ok(f"modelkeep install - {DEVICE} -o slots").err
    assert "staged acme/detector nothing -> 1: " in said
    assert "it counts after its trial" in said
    words = shop.ok("modelkeep status slots -k file:pi-17.pem").out
    assert "stage      staged" in words
    assert "release    1.1" in words
    (waiting,) = shop.ok("modelkeep status slots -k file:pi-17.pem --json").json["installations"]
    assert (waiting["slot"], waiting["stage"], waiting["epoch"]) == ("a", "staged", 1)
    assert shop.shell(f"modelkeep run slots {DEVICE} -i x=x.npy").code == 3
    assert shop.ok("modelkeep inspect slots --json").json["release"] == "1.1"
    assert "withdrawn" in shop.ok(f"modelkeep slots withdraw slots {DEVICE}").err
    assert shop.ok("modelkeep status slots -k file:pi-17.pem --json").json["installations"] == []
    assert "nothing was withdrawn" in shop.ok(f"modelkeep slots withdraw slots {DEVICE}").err


def test_nothing_is_said_to_be_done_where_nothing_is(shop: CommandLine) -> None:
    again = shop.shell("modelkeep slots init slots --model-id acme/detector")
    assert (again.code, "has slots already" in again.err, "--force" in again.err) == (2, True, False)
    empty = shop.shell(f"modelkeep trial slots {DEVICE}")
    assert (empty.code, "nothing counts" in empty.err) == (6, True)
    shop.ok(f"modelkeep install 1.keep {DEVICE} -o slots")
    for _ in range(MOST_POSTPONEMENTS):
        assert shop.shell(f"modelkeep trial slots {DEVICE} --runtime abacus").code == 6
    waits = shop.shell(f"modelkeep trial slots {DEVICE} --runtime abacus")
    assert (waits.code, "were postponed" in waits.err, "--again" in waits.err) == (6, True, True)
    words = shop.ok("modelkeep status slots -k file:pi-17.pem").out
    assert "no runtime is named 'abacus', 5 times: waits until something changes" in words
    assert "it counts now" in shop.ok(f"modelkeep trial slots {DEVICE} --again").err
    assert "all of it decrypts" in shop.ok(f"modelkeep install 1.keep {DEVICE} -o slots").err
    (shop.folder / "slots" / "a.keep").unlink()
    gone = shop.shell(f"modelkeep run slots {DEVICE} -i x=x.npy")
    assert (gone.code, "holds what counts on this device" in gone.err) == (3, True)


def test_what_is_said_of_an_installation(shop: CommandLine) -> None:
    shop.ok(f"modelkeep install 2.keep {DEVICE} -o installed.keep")
    (installed,) = shop.ok("modelkeep status installed.keep -k file:pi-17.pem --json").json["installations"]
    inside = shop.ok("modelkeep inspect installed.keep --json").json
    ran = shop.ok(f"modelkeep run installed.keep {DEVICE} -i x=x.npy --json").json
    for facts in (installed, inside, ran):
        assert (facts["epoch"], facts["release"], facts["bundle"]) == (2, "1.2", installed["bundle"])
    assert (installed["stage"], ran["installed"], inside["device_id"]) == ("current", True, "pi-17")
    assert "ok: acme/detector epoch 2" in shop.ok(f"modelkeep verify installed.keep {DEVICE}").err
    refused = shop.shell(f"modelkeep verify installed.keep {TRUST}")
    assert (refused.code, "only this device" in refused.err) == (2, True)
    damaged = bytearray((shop.folder / "installed.keep").read_bytes())
    damaged[damaged.rindex(b"payload/1") + 600] ^= 1
    (shop.folder / "installed.keep").write_bytes(damaged)
    assert shop.shell(f"modelkeep verify installed.keep {DEVICE}").code == 3
    assert shop.shell("modelkeep status 1.keep -k file:pi-17.pem").code == 5
