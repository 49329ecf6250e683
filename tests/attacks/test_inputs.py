"""Somebody who may only send inputs: what breaks the model's contract never reaches the model."""

from __future__ import annotations

import contextlib
import io
import itertools
import signal
import struct
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.cli import run_command
from modelkeep.cli.parser import build_parser
from modelkeep.errors import InputError, MalformedError, UsageError
from support.workshop import Workshop

FINE = np.ones((1, 4), np.float32)


class Changing(Mapping[str, Any]):
    """Gives a good array to whoever asks first and bad ones afterwards."""

    def __init__(self) -> None:
        self._answers = itertools.chain([FINE], itertools.repeat(FINE * np.float32(np.nan)))

    def __getitem__(self, name: str) -> Any:
        return next(self._answers)

    def __iter__(self) -> Iterator[str]:
        return iter(["x"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"x": np.full((1, 4), np.nan, np.float32)}, "not-finite"),
        ({"x": np.full((1, 4), -np.inf, np.float32)}, "not-finite"),
        ({"x": FINE * 2}, "range"),
        ({"x": -FINE}, "range"),
        ({"x": FINE.astype(np.float64)}, "dtype"),
        ({"x": FINE.astype(object)}, "dtype"),
        ({"x": np.ones((1, 5), np.float32)}, "shape"),
        ({"x": np.ones(4, np.float32)}, "rank"),
        ({"x": np.broadcast_to(np.float32(1), (2**40, 4))}, "size"),
        ({}, "missing"),
        ({"x": FINE, "y": FINE}, "unexpected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_input_outside_the_contract_is_refused(
    workshop: Workshop, inputs: dict[str, Any], code: str
) -> None:
    bundle = workshop.seal(contract={"x": {"minimum": 0.0, "maximum": 1.0}})
    with workshop.open(bundle) as session, pytest.raises(InputError) as caught:
        session.run(inputs)
    assert code in {finding.code for finding in caught.value.findings}


def test_inputs_that_change_between_check_and_run_are_taken_once(workshop: Workshop) -> None:
    with workshop.open(workshop.seal()) as session:
        assert np.isfinite(session.run(Changing())["y"]).all()


def test_an_array_that_is_written_between_check_and_run_does_not_count(workshop: Workshop) -> None:
    """The model's input changes after it was checked; what runs is what was checked."""
    x = np.ones((1, 4), np.float32)

    def change(runner: Any) -> Any:
        def run(inputs: Mapping[str, Any]) -> Any:
            x[:] = np.nan
            return original(inputs)

        original = runner.run
        return run

    with workshop.open(workshop.seal()) as session:
        setattr(session._runner, "run", change(session._runner))  # noqa: B010
        assert np.isfinite(session.run({"x": x})["y"]).all()
        x[:] = 1
        assert not np.isfinite(session.run({"x": x}, copy=False)["y"]).any()


def test_a_thread_that_writes_all_the_time_gets_nothing_past_the_contract(workshop: Workshop) -> None:
    x, over = np.ones((64, 4), np.float32), threading.Event()

    def write() -> None:
        while not over.is_set():
            x[:] = np.nan
            x[:] = 1

    writer = threading.Thread(target=write)
    with workshop.open(workshop.seal()) as session:
        writer.start()
        try:
            for _ in range(2000):
                with contextlib.suppress(InputError):
                    assert np.isfinite(session.run({"x": x})["y"]).all()
        finally:
            over.set()
            writer.join()


_CUT_SHORT = """
import mmap, os, sys
import numpy as np
from modelkeep.errors import StorageError
from modelkeep.inputs import own_inputs

with open(sys.argv[1], "w+b") as file:
    file.truncate(1 << 20)
    x = np.frombuffer(mmap.mmap(file.fileno(), 0), np.float32).reshape(-1, 4)
    assert own_inputs({"x": x}, None)["x"].shape == x.shape
    file.truncate(0)
    if sys.argv[2] == "plain":
        x.copy()
    try:
        own_inputs({"x": x}, None)
    except StorageError:
        print("refused")
"""


def test_a_file_cut_short_behind_an_array_does_not_end_the_process(tmp_path: Path) -> None:
    def outcome(way: str) -> tuple[int, str]:
        command = [sys.executable, "-c", _CUT_SHORT, str(tmp_path / "mapped"), way]
        result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        return result.returncode, result.stdout.strip()

    assert outcome("ours") == (0, "refused")
    assert outcome("plain")[0] == -signal.SIGBUS


_BOMBS = ("an array", "a header", "many arrays")


@pytest.mark.parametrize("kind", _BOMBS)
def test_a_small_file_of_inputs_costs_no_more_than_the_model_takes(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(workshop.folder)
    Path("bomb.npz").write_bytes(_bomb(kind))
    Path("publisher.pub").write_bytes(workshop.publisher_public)
    bundle = workshop.seal(contract={"x": {"maximum_bytes": 2**20}})
    words = f"run {bundle} -k file:{workshop.device} -t publisher.pub -i bomb.npz"
    arguments = build_parser().parse_args(words.split())
    tracemalloc.start()
    try:
        with pytest.raises((InputError, MalformedError)):
            run_command.run(arguments)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_a_file_of_inputs_that_grew_after_it_was_looked_at_is_not_read(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workshop.folder)
    np.savez("x.npz", x=np.ones((1, 4), np.float32))
    np.savez_compressed("grown.npz", x=np.zeros((2**20, 4), np.float32))
    Path("publisher.pub").write_bytes(workshop.publisher_public)
    words = f"run {workshop.seal()} -k file:{workshop.device} -t publisher.pub -i x.npz"
    arguments = build_parser().parse_args(words.split())
    run_command.run(arguments)
    monkeypatch.setattr(run_command, "refuse_unread", lambda *_looked: Path("grown.npz").replace("x.npz"))
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match="was changed while it was read"):
            run_command.run(arguments)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def _bomb(kind: str) -> bytes:
    """Returns a file of some kilobytes that says that it is, or is, 64 MiB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        if kind == "a header":
            archive.writestr("x.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**26) + bytes(2**26))
        for number in range({"an array": 1, "many arrays": 64}.get(kind, 0)):
            content = io.BytesIO()
            np.save(content, np.zeros((2**24 if kind == "an array" else 2**18, 1), np.float32))
            archive.writestr(f"x[{number}].npy" if kind == "many arrays" else "x.npy", content.getvalue())
    return file.getvalue()
