"""Reports that are interrupted, killed, started twice, or have nowhere to go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.cli import main
from modelkeep.errors import StorageError
from modelkeep.guard_report import Settings, State, measure_guard
from support.classifier import classifier
from support.command_line import files, outside
from support.reported import SMALL, held_out, reported, without_time


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("report") / "net.onnx")


def measured(model: Path, state: State | None = None, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"settings": SMALL}
    return measure_guard(held_out(), model=model, profile=reported(), state=state, **(settings | options))


def steps_in(state: Path) -> list[str]:
    return [json.loads(line)["step"] for line in state.read_text().splitlines()[1:]]


def test_an_interrupted_report_goes_on_where_it_was(model: Path, tmp_path: Path) -> None:
    whole, path, done = measured(model), tmp_path / "state", [0]

    def interrupt(count: int) -> None:
        done[0] += count
        if done[0] == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), State(path) as state:
        measured(model, state, progress=interrupt)
    assert len(steps_in(path)) == 25
    # What is kept is taken as it is, and not measured again.
    path.write_text(path.read_text().replace('"samples": 30', '"samples": 999', 1))
    with State(path) as state:
        again = measured(model, state)
    assert again["clean"]["samples"] == 999
    assert without_time(again | {"clean": whole["clean"]}) == without_time(whole)
    with State(path) as state:
        other = measured(model, state, settings=Settings(faulty=2, attacked=1, tries=3))
    assert other["clean"]["samples"] == 30


def test_labels_and_samples_are_part_of_what_a_state_is_about(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "state"
    for options in ({}, {"labels": [np.array([0])] * 30}, {"labels": [np.array([1])] * 30}):
        with State(path) as state:
            result = measured(model, state, settings=Settings(1, 1, 1), **options)
        assert (result["clean"]["accuracy"] is None) == (not options)
        path.write_text(path.read_text().replace('"samples": 30', '"samples": 999', 1))


@pytest.mark.parametrize(
    "content", ["", "[]\n", "{}\n", '{"key": "other"}\n{"step": "a", "result": {}}\n', "[" * 9999]
)
def test_a_state_that_cannot_be_used_is_written_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "state").write_text(content)
    with State(tmp_path / "state") as state:
        state.begin("k")
        assert state.do("a", lambda: {"b": 1}) == {"b": 1}
    assert (tmp_path / "state").read_text() == '{"key": "k"}\n{"step": "a", "result": {"b": 1}}\n'


@pytest.mark.parametrize(
    "torn", ['{"step": "b", "res', '{"step": "b", "result": {"b": 3}}', '{"step": b}\n', '{"step": 1}\n']
)
def test_a_torn_line_is_dropped_and_those_before_it_are_kept(tmp_path: Path, torn: str) -> None:
    whole = '{"key": "k"}\n{"step": "a", "result": {"b": 1}}\n'
    (tmp_path / "state").write_text(whole + torn)
    with State(tmp_path / "state") as state:
        state.begin("k")
        assert state.do("a", lambda: {"b": 9}) == {"b": 1}
        assert state.do("b", lambda: {"b": 2}) == {"b": 2}
    assert (tmp_path / "state").read_text() == whole + '{"step": "b", "result": {"b": 2}}\n'


def test_a_state_without_steps_leaves_no_file(tmp_path: Path) -> None:
    with State(tmp_path / "state"):
        pass
    with State(tmp_path / "state") as state:
        state.begin("k")
    assert files(tmp_path) == set()
    (tmp_path / "state").write_text('{"key": "k"}\n{"step": "a", "result": {}}\n')
    with State(tmp_path / "state"):
        pass
    assert files(tmp_path) == {"state"}


def test_one_state_is_for_one_report_at_a_time(tmp_path: Path) -> None:
    with State(tmp_path / "state"), pytest.raises(StorageError, match="another report"):
        State(tmp_path / "state")
    with State(tmp_path / "state") as state:
        state.begin("k")


def test_a_lock_on_a_file_that_was_removed_meanwhile_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    path, locks = tmp_path / "state", [0]
    real = fcntl.flock

    def removed_in_between(descriptor: int, operation: int) -> None:
        locks[0] += 1
        if locks[0] == 1:
            path.unlink()
        if locks[0] == 2:
            path.unlink()
            path.write_text("")
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_in_between)
    with State(path) as state:
        state.begin("k")
        state.do("a", lambda: {})
    assert locks == [3]
    assert steps_in(path) == ["a"]


def a_report(model: Path, folder: Path) -> list[str]:
    """Returns a command whose report takes some seconds."""
    np.savez(folder / "many.npz", x=np.concatenate([each["x"] for each in held_out(12)]))
    reported().save(folder / "guard.json")
    (folder / "out").mkdir()
    words = ["guard", "report", "--stacked", folder / "many.npz", "--model", model, "--tries", 40]
    words += ["--attacked", 6, "--guard", folder / "guard.json", "-o", folder / "out" / "report.html"]
    return [str(word) for word in words]


@pytest.fixture
def words(model: Path, tmp_path: Path) -> list[str]:
    return a_report(model, tmp_path)


@pytest.fixture(scope="module")
def expected(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns what a report says that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert main(a_report(model, folder)) == 0
    result: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text())
    return result


def started(words: list[str], state: Path) -> subprocess.Popen[bytes]:
    """Returns a running report that has done a few steps."""
    running = subprocess.Popen(
        [sys.executable, "-m", "modelkeep", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while running.poll() is None and (not state.exists() or state.read_text().count("\n") < 25):
        time.sleep(0.02)
    return running


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_report_that_was_stopped_is_taken_up_by_the_next_one(
    words: list[str], expected: dict[str, Any], tmp_path: Path, how: signal.Signals
) -> None:
    state = tmp_path / "out" / "report.html.state"
    running = started(words, state)
    running.send_signal(how)
    running.communicate()
    assert running.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert files(state.parent) == {"report.html.state"}
    kept = steps_in(state)
    assert 20 < len(kept) < 100
    state.write_text(state.read_text().replace('"samples": 12', '"samples": 999', 1))
    assert main(words) == 0
    assert files(state.parent) == {"report.html", "report.json"}
    result = json.loads((state.parent / "report.json").read_text())
    assert result["clean"]["samples"] == 999
    assert without_time(result | {"clean": expected["clean"]}) == without_time(expected)


def test_of_two_reports_in_one_place_the_second_is_refused(words: list[str], tmp_path: Path) -> None:
    state = tmp_path / "out" / "report.html.state"
    running = started(words, state)
    second = outside(*words)
    assert second.returncode == 6
    assert "another report is being written there" in second.stderr
    assert running.poll() is None
    running.communicate()
    assert running.returncode == 0
    assert files(state.parent) == {"report.html", "report.json"}


def test_a_place_that_cannot_be_written_is_named_before_the_work(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in (tmp_path / "nowhere" / "report.html", tmp_path / "many.npz" / "report.html"):
        # Samples that do not exist either: they would be the first of the work.
        assert main([*words[:3], "missing.npz", *words[4:-1], str(target)]) == 6
        assert f"{target}.state" in capsys.readouterr().err


def test_a_full_disk_is_told_at_the_first_step(tmp_path: Path) -> None:
    descriptor = os.open("/dev/full", os.O_RDWR)
    with State(tmp_path / "state") as state:
        os.dup2(descriptor, state._descriptor)
        os.close(descriptor)
        with pytest.raises(StorageError, match="no space"):
            state.do("a", lambda: {})
