"""What goes to which stream, and streams that are full, closed, gone or of another encoding."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from modelkeep.cli import output
from modelkeep.cli.output import human_size, progress
from modelkeep.visible import visible
from support.command_line import CommandLine, outside

SEAL = "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem -o new.keep"
RUN = "modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy"


@pytest.mark.parametrize("line", [SEAL, "modelkeep verify model.keep -t publisher.pub", RUN])
def test_json_is_alone_on_stdout_and_prose_on_stderr(shop: CommandLine, line: str) -> None:
    with_json = shop.ok(f"{line} --json")
    assert isinstance(with_json.json, dict)
    assert with_json.err
    if "-o new.keep" in line:
        line += " --force"
    # Without it, what the model gives is a result, too.
    assert (shop.ok(line).out == "") is (line != RUN)


def test_inspect_says_the_same_to_people_and_to_programs(shop: CommandLine) -> None:
    words, facts = (
        shop.ok("modelkeep inspect model.keep"),
        shop.ok("modelkeep inspect model.keep --json").json,
    )
    assert words.err == "nothing above was verified; `modelkeep verify` does that\n"
    rows = dict(row.split(maxsplit=1) for row in words.out.splitlines() if len(row.split()) > 1)
    assert rows["model"] == facts["model"] == "model"
    assert rows["size"] == human_size(facts["size"])
    assert [grant["type"] for grant in facts["grants"]] == ["hpke-p256", "hpke-p256"]
    assert "delegate True" in words.out


def test_what_an_unverified_bundle_says_cannot_steer_the_terminal(shop: CommandLine) -> None:
    sealed = shop(
        "seal", "model.onnx", "-r", "pi-17.pub", "--unsafe-unsigned", "-o", "e.keep", "--release", "\x1b[2J\r"
    )
    assert sealed.code == 0
    assert r"\x1b[2J\r" in shop.ok("modelkeep inspect e.keep").out
    assert shop.ok("modelkeep inspect e.keep --json").json["release"] == "\x1b[2J\r"


def test_without_a_model_id_it_says_what_it_accepted(shop: CommandLine) -> None:
    assert "accepted model model (pass --model-id model" in shop.ok(RUN).err
    assert "accepted" not in shop.ok(f"{RUN} --model-id model").err


@pytest.mark.parametrize(
    "name", ["two words.keep", "Ünïcødé ☃.keep", "./-dash.keep", "'quote\".keep", "new\nline"]
)
def test_bundles_may_have_odd_names(shop: CommandLine, name: str) -> None:
    assert shop("seal", "model.onnx", "-r", "pi-17.pub", "-s", "publisher.pem", "-o", name).code == 0
    assert shop("verify", name, "-t", "publisher.pub").code == 0
    assert shop("grant", name, "-k", "file:admin.pem", "-t", "publisher.pub", "-r", "pi-18.pub").code == 4
    assert shop("run", name, "-k", "file:pi-17.pem", "-t", "publisher.pub", "-i", "x=x.npy").code == 0


def test_models_with_odd_names_get_an_id_made_of_what_is_plain_in_them(shop: CommandLine) -> None:
    (shop.folder / "my détector (2).onnx").write_bytes((shop.folder / "model.onnx").read_bytes())
    sealed = shop("seal", "my détector (2).onnx", "-r", "pi-17.pub", "-s", "publisher.pem", "--json")
    assert sealed.code == 0
    assert sealed.json["model"] == "my-d-tector-2"


def test_results_in_letters_that_stdout_does_not_have_are_escaped(shop: CommandLine) -> None:
    release = "été ☃\u3164"
    assert (
        shop(
            "seal", "model.onnx", "-r", "pi-17.pub", "--unsafe-unsigned", "-o", "u", "--release", release
        ).code
        == 0
    )
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"}
    inspected = outside("inspect", "u", env=environment)
    assert inspected.returncode == 0
    assert r"\xe9t\xe9 \u2603" in inspected.stdout


def test_6_when_stdout_is_a_full_disk(shop: CommandLine) -> None:
    for arguments in (("inspect", "model.keep"), ("inspect", "model.keep", "--json")):
        with Path("/dev/full").open("w") as full:
            done = outside(*arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 6
        assert done.stderr.endswith("modelkeep: no space left on device\n")


def test_a_reader_that_leaves_is_no_failure(shop: CommandLine) -> None:
    read, write = os.pipe()
    os.close(read)
    done = outside("inspect", "model.keep", capture_output=False, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("code", [0, 6], ids=["success", "failure"])
def test_stderr_that_is_full_or_gone_changes_nothing(shop: CommandLine, code: int) -> None:
    arguments = ("inspect", "model.keep" if code == 0 else "missing")
    with Path("/dev/full").open("w") as full:
        assert (
            outside(*arguments, capture_output=False, stdout=subprocess.PIPE, stderr=full).returncode == code
        )
    read, write = os.pipe()
    os.close(read)
    done = outside(*arguments, capture_output=False, stdout=subprocess.PIPE, stderr=write)
    os.close(write)
    assert done.returncode == code


def test_closed_streams_do_not_become_somebody_elses_file(shop: CommandLine) -> None:
    line = f'"{sys.executable}" -m {SEAL} 0<&- 1>&- 2>&-'
    assert subprocess.run(line, shell=True, check=False, timeout=120).returncode == 0
    shop.ok("modelkeep verify new.keep -t publisher.pub")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_500_000, "1.5 MB"),
        (2e9, "2.0 GB"),
        (7e15, "7000.0 TB"),
    ],
)
def test_sizes_are_in_words(count: float, text: str) -> None:
    assert human_size(count) == text


def test_control_characters_are_escaped() -> None:
    assert visible("a\tb\x1b[0m\u202eé☃\u3164") == r"a\tb\x1b[0m\u202eé☃\u3164"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(output, "time", clock)
    return clock


def test_progress_shows_share_size_and_speed_and_removes_its_line(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    with redirect_stderr(Terminal()) as terminal, progress("sealing", 4_000_000) as advance:
        clock.now += 2
        advance(1_000_000)
        drawn = terminal.getvalue()
        assert drawn == "\r\x1b[K\x1b[2msealing  25 %  1.0 MB of 4.0 MB, 500.0 kB/s\x1b[0m"
        clock.now += 0.05
        advance(1_000_000)
        assert terminal.getvalue() == drawn
        clock.now += 1
        advance(9_000_000)
        assert "100 %" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_short_work_shows_no_progress(clock: Clock) -> None:
    with redirect_stderr(Terminal()) as terminal, progress("sealing", 0) as advance:
        clock.now += 0.4
        advance(10)
    assert terminal.getvalue() == ""


def test_no_colour_where_it_is_not_wanted(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with redirect_stderr(Terminal()) as terminal, progress("sealing", 10) as advance:
        clock.now += 2
        advance(10)
    assert "sealing 100 %" in terminal.getvalue()
    assert "\x1b[2m" not in terminal.getvalue()


def test_no_progress_where_nobody_watches(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("sealing", 10) as advance:
        clock.now += 2
        advance(10)
    assert capsys.readouterr().err == ""
