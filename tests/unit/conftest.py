"""Fixtures for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.command_line import CommandLine
from support.workshop import scale_model


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """A command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path, capsys)


@pytest.fixture
def shop(command: CommandLine) -> CommandLine:
    """A command line in a folder with keys, `model.onnx`, `x.npy`, and `model.keep` sealed for pi-17."""
    (command.folder / "model.onnx").write_bytes(scale_model(2.0, 4))
    np.save(command.folder / "x.npy", np.ones((1, 4), np.float32))
    for name in ("pi-17", "pi-18", "admin"):
        command.ok(f"modelkeep keygen file:{name}.pem > {name}.pub")
    for name in ("publisher", "stranger"):
        command.ok(f"modelkeep keygen --signing {name}.pem > {name}.pub")
    command.ok("modelkeep seal model.onnx -r pi-17.pub --admin admin.pub -s publisher.pem -o model.keep")
    return command
