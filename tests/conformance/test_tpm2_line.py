"""A device whose key is in its TPM, from its first key to an update that it survives; live."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.command_line import CommandLine
from support.swtpm import SoftwareTpm
from support.workshop import scale_model

RUN = "modelkeep run installed.keep -k tpm2:pi-17.tpm -t publisher.pub -i x=x.npy"


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    folder = tmp_path / "device"
    folder.mkdir()
    monkeypatch.chdir(folder)
    np.save(folder / "x.npy", np.ones((1, 4), np.float32))
    (folder / "model.onnx").write_bytes(scale_model(2.0, 4))
    return CommandLine(folder, capsys)


def test_device_with_a_tpm_installs_runs_and_survives_an_approved_update(
    tpm: SoftwareTpm, command: CommandLine
) -> None:
    command.ok("modelkeep keys create --kind signing publisher.pem > publisher.pub")
    command.ok("modelkeep keys create --kind approving authority.pem > authority.pub")
    command.ok("modelkeep keys create 'tpm2:pi-17.tpm?pcrs=7,11&authority=authority.pub' > pi-17.pub")
    command.ok("modelkeep keys approve tpm2:pi-17.tpm -s authority.pem")
    command.ok("modelkeep seal model.onnx -r pi-17.pub -s publisher.pem -o model.keep")
    command.ok(
        "modelkeep install model.keep -k tpm2:pi-17.tpm -t publisher.pub --any-model -o installed.keep"
    )
    command.ok(RUN)
    tpm.extend(11, b"\x11" * 32)
    refused = command.shell(RUN)
    assert refused.code == 6
    assert "is not approved" in refused.err
    shown = json.loads(command.ok("modelkeep keys show tpm2:pi-17.tpm --json").out)
    (command.folder / "values.json").write_text(json.dumps(shown["pcrs"]))
    # On the authority's machine, which needs no TPM.
    command.ok("modelkeep keys approve -s authority.pem --values values.json -o approval.json")
    command.ok("modelkeep keys approve tpm2:pi-17.tpm --approval approval.json")
    command.ok(RUN)
    assert command.ok("modelkeep keys list tpm2:.").out == "tpm2:pi-17.tpm\n"
    command.ok("modelkeep keys delete tpm2:pi-17.tpm --yes")
    assert command.shell(RUN).code == 6


def test_publisher_with_a_tpm_signs_what_devices_open(tpm: SoftwareTpm, command: CommandLine) -> None:
    command.ok("modelkeep keys create 'tpm2:publisher.tpm?pcrs=none' --kind signing > publisher.pub")
    command.ok("modelkeep keys create file:pi-17.pem > pi-17.pub")
    command.ok("modelkeep seal model.onnx -r pi-17.pub -s tpm2:publisher.tpm -o model.keep")
    command.ok("modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy")
