"""Exit codes are a contract with shell scripts."""

from __future__ import annotations

import io
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import numpy as np
import pytest

import modelkeep as mk
from modelkeep.__main__ import INTERRUPTED, main
from support.command_line import CommandLine, Result, files

RUN = "modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy"
VERIFY = "modelkeep verify model.keep -t publisher.pub"
SEAL = "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem -o new.keep"


def assert_refused(result: Result, code: int) -> None:
    assert result.code == code, result.err
    assert result.out == ""
    assert any(line.startswith(("modelkeep: ", "usage: ")) for line in result.err.splitlines())


@pytest.mark.parametrize(
    "line",
    [
        "modelkeep",
        "modelkeep frobnicate",
        "modelkeep seal model.onnx -r pi-17.pub",
        "modelkeep seal model.onnx -s publisher.pem",
        "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem --unsafe-unsigned",
        "modelkeep seal model.onnx -r pi-17.pub --unsafe",
        "modelkeep run model.keep -k file:pi-17.pem -i x=x.npy",
        "modelkeep run model.keep -k file:pi-17.pem -t publisher.pub",
        f"{RUN} --unsafe-unsigned",
        f"{RUN} -i x=x.npy",
        f"{RUN} -i x.npy",
        f"{RUN} --runtime abacus",
        "modelkeep run model.keep -k enigma:rotor -t publisher.pub",
        "modelkeep run model.keep -k 'file:pi-17.pem?pin=1' -t publisher.pub",
        "modelkeep run model.keep -k file:pi-17.pem --unsafe-unsigned --minimum-epoch 2",
        "modelkeep verify model.keep",
        f"{VERIFY} --model-id 'two words'",
        f"{VERIFY} --maximum-age nan",
        f"{VERIFY} --maximum-age 1e300",
        f"{VERIFY} --minimum-epoch many",
        "modelkeep verify x.npy --signature x.npy",
        "modelkeep verify x.npy --signature x.npy -t publisher.pub -t stranger.pub",
        "modelkeep verify x.npy --signature x.npy -t publisher.pub --unsafe-unsigned",
        "modelkeep grant model.keep -k file:admin.pem -t publisher.pub",
        f"{SEAL} --not-after tomorrow",
        f"{SEAL} --not-after 2001-01-01",
        f"{SEAL} --not-before +2d --not-after +1d",
        f"{SEAL} --not-after 0001-01-01T00:00+23:59",
        f"{SEAL} --epoch -1",
        f"{SEAL} --epoch 99999999999999999999",
        f"{SEAL} --contract bad.json",
        f"{SEAL} --contract deep.json",
        f"{SEAL} --contract list.json",
        f"{SEAL} --passphrase-env NOT_SET_ANYWHERE",
    ],
)
def test_2_for_a_command_that_makes_no_sense(shop: CommandLine, line: str) -> None:
    (shop.folder / "bad.json").write_text("{")
    (shop.folder / "deep.json").write_text("[" * 100_000)
    (shop.folder / "list.json").write_text("[1]")
    before = files(shop.folder)
    assert_refused(shop.shell(line), 2)
    assert files(shop.folder) == before


@pytest.mark.parametrize(
    "line",
    [
        "modelkeep verify model.keep -t stranger.pub",
        f"{VERIFY} --model-id another",
        f"{VERIFY} --minimum-epoch 2",
        "modelkeep verify unsigned.keep -t publisher.pub",
        "modelkeep verify flipped.keep -t publisher.pub",
        "modelkeep run flipped.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy",
        "modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i x=nan.npy",
        "modelkeep run expired.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy",
        "modelkeep run guarded.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy",
        "modelkeep grant model.keep -k file:pi-17.pem -t publisher.pub -r pi-18.pub",
    ],
)
def test_3_when_a_check_says_no(shop: CommandLine, line: str) -> None:
    np.save("nan.npy", np.full((1, 4), np.nan, np.float32))
    seal = "modelkeep seal model.onnx -r pi-17.pub"
    shop.ok(f"{seal} --unsafe-unsigned -o unsigned.keep")
    ended = mk.Constraints(not_after=978_307_200)
    expired = mk.seal("model.onnx", model="model", to="pi-17.pub", signer="publisher.pem", constraints=ended)
    expired.save("expired.keep")
    shop.ok(f"{seal} -s publisher.pem -o guarded.keep --posture sealed-case")
    content = bytearray((shop.folder / "model.keep").read_bytes())
    content[content.index(b"payload/1") + 512 + 60] ^= 1
    (shop.folder / "flipped.keep").write_bytes(content)
    before = files(shop.folder)
    assert_refused(shop.shell(line), 3)
    assert files(shop.folder) == before


def test_4_when_no_grant_is_for_this_key(shop: CommandLine) -> None:
    refused = shop.shell(RUN.replace("pi-17", "pi-18"))
    assert_refused(refused, 4)
    assert "hint: " in refused.err


@pytest.mark.parametrize(
    "line",
    [
        "modelkeep inspect x.npy",
        "modelkeep inspect .",
        "modelkeep verify empty -t publisher.pub",
        "modelkeep run model.onnx -k file:pi-17.pem -t publisher.pub",
        "modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i x=model.onnx",
        "modelkeep seal empty -r pi-17.pub -s publisher.pem --model-id a -o new.keep --entry empty -r x.npy",
        "modelkeep seal bad.onnx -r pi-17.pub -s publisher.pem -o new.keep",
        "modelkeep seal model.onnx -r x.npy -s publisher.pem -o new.keep",
        "modelkeep import x.npy --unsafe-unverified --old-key x.npy --name m.onnx -r pi-17.pub "
        "-s publisher.pem -o new.keep",
    ],
)
def test_5_for_bytes_that_are_not_of_the_form(shop: CommandLine, line: str) -> None:
    (shop.folder / "empty").touch()
    (shop.folder / "bad.onnx").write_bytes(b"\xff" * 100)
    assert_refused(shop.shell(line), 5)


@pytest.mark.parametrize(
    "line",
    [
        "modelkeep inspect missing.keep",
        "modelkeep verify model.keep -t missing.pub",
        "modelkeep verify missing.keep -t publisher.pub",
        "modelkeep run model.keep -k file:missing.pem -t publisher.pub",
        "modelkeep run model.keep -k file:pi-17.pub -t publisher.pub",
        "modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i x=missing.npy",
        f"{RUN} --grant missing.grants",
        f"{RUN} -o missing/scores.npz",
        "modelkeep seal missing.onnx -r pi-17.pub -s publisher.pem -o new.keep",
        "modelkeep seal model.onnx -r missing.pub -s publisher.pem -o new.keep",
        "modelkeep seal model.onnx -r pi-17.pub -s missing.pem -o new.keep",
        "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem -o missing/new.keep",
        "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem -o model.onnx/new.keep",
        f"{SEAL} --contract missing.json",
        "modelkeep sign missing -s plain.pem",
        "modelkeep keys create missing/key.pem",
    ],
)
def test_6_when_something_is_not_there(shop: CommandLine, line: str) -> None:
    shop.ok("modelkeep keys create --kind plain plain.pem")
    assert_refused(shop.shell(line), 6)


def test_6_for_a_key_that_others_can_read(shop: CommandLine) -> None:
    (shop.folder / "pi-17.pem").chmod(0o644)
    refused = shop.shell(RUN)
    assert_refused(refused, 6)
    assert "chmod 600" in refused.err


def test_6_for_a_folder_that_cannot_be_written(shop: CommandLine) -> None:
    # Even root cannot write into this one.
    line = "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem -o /proc/self/fdinfo/new.keep"
    assert_refused(shop.shell(line), 6)


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("modelkeep keys create pi-17.pem", "pi-17.pem"),
        ("modelkeep keys create --kind signing publisher.pem", "publisher.pem"),
        ("modelkeep seal model.onnx -r pi-17.pub -s publisher.pem -o model.keep", "model.keep"),
        (f"{RUN} -o scores.npz", "scores.npz"),
        ("modelkeep sign x.npy -s plain.pem", "x.npy.sig"),
    ],
)
def test_files_are_replaced_only_by_force(shop: CommandLine, line: str, target: str) -> None:
    shop.ok("modelkeep keys create --kind plain plain.pem")
    for name in ("scores.npz", "x.npy.sig"):
        (shop.folder / name).write_text("precious")
    before = (shop.folder / target).read_bytes()
    refused = shop.shell(line)
    assert_refused(refused, 2)
    assert "--force" in refused.err
    assert (shop.folder / target).read_bytes() == before
    shop.ok(f"{line} --force")
    assert (shop.folder / target).read_bytes() != before


def test_130_and_no_trace_after_an_interruption(shop: CommandLine) -> None:
    os.truncate(os.open("big.bin", os.O_CREAT | os.O_RDWR, 0o600), 2**29)
    before = files(shop.folder)
    arguments = shlex.split("seal big.bin -r pi-17.pub -s publisher.pem -o big.keep")
    with subprocess.Popen(
        [sys.executable, "-m", "modelkeep", *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for_part(shop.folder)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert err.endswith("modelkeep: interrupted; nothing was left half done\n")
    assert files(shop.folder) == before


def test_130_and_one_line_while_python_still_reads_modules(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Reading(ModuleType):
        def __getattr__(self, name: str) -> NoReturn:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "modelkeep.cli", Reading("modelkeep.cli"))
    assert main() == INTERRUPTED
    assert capsys.readouterr().err == "modelkeep: interrupted; nothing was left half done\n"
    gone = io.StringIO()
    gone.close()
    for nobody in (gone, None):
        monkeypatch.setattr(sys, "stderr", nobody)
        assert main() == INTERRUPTED


def wait_for_part(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not any(name.endswith(".part") for name in files(folder)):
        assert time.monotonic() < deadline, "sealing never began"
        time.sleep(0.001)
