"""Processes that are copied from one: what they have in common, and what becomes of them with it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelkeep
from modelkeep.errors import RuntimeCrashedError, RuntimeTimeoutError
from modelkeep.isolation import ProcessIsolation, fork_server
from modelkeep.session import Session
from support import intruder
from support.descriptors import open_descriptors, settled_descriptors
from support.processes import children, fork_servers, status
from support.workshop import Workshop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolated processes need Linux")

X = np.ones((1, 4), np.float32)
CAP_IPC_LOCK = 1 << 14  # kept until a model is parsed, where the limit cannot be raised
AT_LOAD = ("shared ", "numbers ", "environment ")


@pytest.fixture
def opened(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(intruder.install(workshop.folder / "site"))
    bundle = workshop.seal()

    def opened(**settings: Any) -> Session:
        isolation = ProcessIsolation(**({"timeout": 60} | settings))
        options = {"isolation": isolation, "runtime": intruder.PACKAGE, "at_load": list(AT_LOAD)}
        session = workshop.open(bundle, **options)
        session.contract = None
        return session

    return opened


def outcomes(session: Session) -> list[Any]:
    """Returns what came of the attempts while the model was loaded."""
    lines = session.run({})["load"].item().splitlines()
    return [json.loads(line.partition(" done ")[2]) for line in lines]


def outcome(session: Session, attempt: str) -> str:
    return str(session.run({"x": np.array(attempt)})["x"].item()).split()[0]


def server_of(session: Session) -> int:
    """Returns the process id of the fork server that made the process of a session."""
    return int(status(session._runner.process.pid, "PPid"))  # type: ignore[attr-defined]


def test_two_models_have_nothing_in_common_that_can_be_written(opened: Any) -> None:
    with opened() as first, opened() as second:
        assert server_of(first) == server_of(second) != os.getpid()
        (shared, numbers, environment), (also, others, _environment) = outcomes(first), outcomes(second)
        assert shared == also == []
        assert all(one != other for one, other in zip(numbers, others, strict=True))
        assert environment["HOME"] == "/nonexistent"


def test_a_model_that_took_over_reaches_neither_another_nor_their_origin(opened: Any) -> None:
    with opened() as first, opened() as second:
        pids = (second._runner.process.pid, server_of(second))
        for pid in pids:
            tried = [outcome(first, f"{verb} {pid}") for verb in ("kill", "trace", "peek")]
            tried.append(outcome(first, f"read /proc/{pid}/status"))
            assert tried == ["refused"] * 4
        with pytest.raises(RuntimeCrashedError, match="SIGABRT"):
            first.run({"x": np.array("die SIGABRT")})
        assert outcome(second, "undo ") == "refused"


def test_the_origin_is_closed_to_others_and_holds_nothing(opened: Any) -> None:
    with opened() as session:
        server = server_of(session)
        found = [status(server, each) for each in ("NoNewPrivs", "Seccomp", "Threads")]
        assert found == ["1", "2", "1"]
        assert int(status(server, "CapPrm"), 16) & ~CAP_IPC_LOCK == 0
        assert len(list(Path("/proc", str(server), "fd").iterdir())) == 4  # standard ones, and the channel
        assert Path("/proc", str(server)).stat().st_uid == 0  # as for all that nobody may dump
        assert b"inherit" not in Path("/proc", str(server), "environ").read_bytes()


def test_all_end_with_the_origin_and_the_next_model_opens(workshop: Workshop) -> None:
    bundle = workshop.seal()
    with workshop.open(bundle, isolation="process") as first:
        process = first._runner.process.pid  # type: ignore[attr-defined]
        with os.fdopen(os.pidfd_open(process)) as ended:
            os.kill(server_of(first), signal.SIGKILL)
            assert select.select([ended], [], [], 60)[0] != []
        with pytest.raises(RuntimeCrashedError):
            first.run({"x": X})
        with workshop.open(bundle, isolation="process") as second:
            assert fork_servers() == {server_of(second)}
            assert np.array_equal(second.run({"x": X})["y"], 2 * X)


def test_closing_does_not_wait_for_an_origin_that_was_stopped(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server, "_GRACE", 0.1)
    session = workshop.open(workshop.seal(), isolation="process")
    server, process = server_of(session), session._runner.process.pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGSTOP)
    try:
        session.close()
        assert status(process, "State")[0] == "Z"
        with pytest.raises(RuntimeTimeoutError):
            workshop.open(workshop.seal(), isolation=ProcessIsolation(open_timeout=0.1))
    finally:
        os.kill(server, signal.SIGCONT)


def test_what_a_process_would_inherit_from_before_is_not_used(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = workshop.seal()
    with workshop.open(bundle, isolation="process") as first:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        with workshop.open(bundle, isolation="process") as second:
            assert server_of(first) != server_of(second)
            assert np.array_equal(first.run({"x": X})["y"], 2 * X)
    modelkeep.prepare_isolation("onnx")
    assert len(fork_servers()) == 1


def test_a_fresh_process_is_a_copy_of_none(workshop: Workshop) -> None:
    with workshop.open(workshop.seal(), isolation=ProcessIsolation(fresh=True)) as session:
        assert server_of(session) == os.getpid()
        assert np.array_equal(session.run({"x": X})["y"], 2 * X)


def test_preparing_leaves_nothing_to_do_and_nothing_open(workshop: Workshop) -> None:
    modelkeep.prepare_isolation()
    servers, before = fork_servers(), settled_descriptors()
    for _ in range(2):
        workshop.open(workshop.seal(), isolation="process").close()
    assert (fork_servers(), open_descriptors()) == (servers, before)
    assert children() == set()


_ADAPTER = """
import {library}
from modelkeep.runtimes.onnx import OnnxRuntime

class Runtime(OnnxRuntime):
    name = "special"
"""
_LIBRARIES = {
    "threads": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    "memory": "import mmap, os\nd = os.memfd_create('')\nos.ftruncate(d, 4096)\nKEPT = mmap.mmap(d, 4096)\n",
}


@pytest.mark.parametrize("library", _LIBRARIES)
def test_what_has_threads_or_shared_memory_is_not_copied(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    site = workshop.folder / "site"
    (site / "special-1.dist-info").mkdir(parents=True)
    (site / "special-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: special\nVersion: 1\n"
    )
    (site / "special-1.dist-info" / "entry_points.txt").write_text(
        "[modelkeep.runtimes]\nspecial = special:Runtime\n"
    )
    (site / "special.py").write_text(_ADAPTER.format(library=f"library_of_{library}"))
    (site / f"library_of_{library}.py").write_text(_LIBRARIES[library])
    monkeypatch.syspath_prepend(site)
    with workshop.open(workshop.seal(), isolation="process", runtime="special") as session:
        assert np.array_equal(session.run({"x": X})["y"], 2 * X)
        # Its library was imported in the process itself, which is a copy of one that has none.
        assert int(status(server_of(session), "Threads")) == 1
        assert "rw-s" not in Path("/proc", str(server_of(session)), "maps").read_text()


_HOST = """
import os, signal, sys
import modelkeep
modelkeep.prepare_isolation("onnx")
print(flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_origin_ends_with_a_host_that_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOST], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as host:
        assert host.stdout is not None
        host.stdout.readline()
        (server,) = fork_servers(host.pid)
        with os.fdopen(os.pidfd_open(server)) as process:
            host.communicate(b"\n")
            assert select.select([process], [], [], 60)[0] != []
