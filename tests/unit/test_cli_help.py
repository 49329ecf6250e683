"""The command line helps: examples in every help, and what was meant beside what was typed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext

import pytest

from modelkeep.cli.examples import example_lines
from modelkeep.cli.parser import COMMANDS, build_parser
from support.command_line import CommandLine, files


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_examples_that_parse(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    shown = capsys.readouterr().out
    for line in example_lines(command):
        assert line in shown
        words = shlex.split(line)[1:]
        build_parser().parse_args(words[: words.index(">")] if ">" in words else words)


MEANT = (
    ("sael model.onnx", "did you mean seal?"),
    ("frobnicate", "see modelkeep --help"),
    ("keys creat file:a", "did you mean create?"),
    ("seal model.onnx --recipeint=pi-17.pub", "did you mean --recipient?"),
    ("seal model.onnx --suite ase", "did you mean aes?"),
    ("seal model.onnx --suite rot13", "one of aes, chacha"),
    ("seal model.onnx other.onnx", "see modelkeep seal --help"),
    ("guard report --outptu x", "see modelkeep guard report --help"),
    ("verify", "see modelkeep verify --help"),
)


def test_what_was_meant_is_said_in_two_lines(shop: CommandLine) -> None:
    for typed, hint in MEANT:
        result = shop.shell(f"modelkeep {typed}")
        assert result.code == 2, typed
        assert result.err.splitlines()[1:] == [f"  hint: {hint}"], typed


def test_help_may_be_asked_for_as_a_command(shop: CommandLine) -> None:
    assert shop.ok("modelkeep help seal").out == shop.ok("modelkeep seal --help").out
    assert shop.ok("modelkeep help").out == shop.ok("modelkeep --help").out
    assert shop.ok("modelkeep -V").out == shop.ok("modelkeep --version").out


def test_nothing_typed_shows_the_commands(shop: CommandLine) -> None:
    result = shop.shell("modelkeep")
    assert (result.code, result.out) == (2, "")
    assert all(command in result.err for command in COMMANDS)


@pytest.mark.parametrize(
    "line", ["seal model.onnx -r pi-17.pub -s publisher.pem", "sign x.npy -s publisher.pem"]
)
def test_a_dash_is_no_file_to_write(shop: CommandLine, line: str) -> None:
    before = files(shop.folder)
    assert shop.shell(f"modelkeep {line} -o -").code == 2
    assert files(shop.folder) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_being_told_to_end_leaves_nothing_half_done(shop: CommandLine, number: signal.Signals) -> None:
    (shop.folder / "big").touch()
    os.truncate(shop.folder / "big", 2**30)
    before = files(shop.folder)
    line = "seal big -r pi-17.pub -s publisher.pem --format files -o big.keep"
    process = subprocess.Popen([sys.executable, "-m", "modelkeep", *line.split()])
    while files(shop.folder) == before and process.poll() is None:
        pass
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert files(shop.folder) == before


@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGTERM, nullcontext()), (signal.SIGINT, pytest.raises(KeyboardInterrupt))]
)
def test_being_told_to_end_during_an_import_is_no_lack_of_a_package(
    shop: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    end: AbstractContextManager[object],
) -> None:
    # What modules do that are compiled with pybind11, ONNX Runtime's among them.
    (shop.folder / "onnxruntime.py").write_text(
        f"import os\ntry:\n    os.kill(os.getpid(), {number:d})\n    [].clear()\n"
        "except BaseException as told:\n    raise ImportError('initialization failed') from told\n"
    )
    monkeypatch.syspath_prepend(str(shop.folder))
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    with end:
        result = shop.shell("modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy")
        assert (result.code, "not installed" in result.err) == (128 + number, False)
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
