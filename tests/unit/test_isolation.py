"""Sessions with a process of their own: the same answers, and the caller outlives whatever happens."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import modelkeep
from modelkeep.errors import (
    InputError,
    MalformedError,
    RuntimeCrashedError,
    RuntimeTimeoutError,
    TamperedError,
    UnavailableError,
    UsageError,
)
from modelkeep.isolation import ProcessIsolation
from modelkeep.session import Session
from support import intruder
from support.descriptors import open_descriptors, settled_descriptors
from support.processes import children
from support.workshop import Workshop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolated processes need Linux")

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def open_isolated(workshop: Workshop, **options: Any) -> Session:
    return workshop.open(workshop.seal(), **({"isolation": "process"} | options))


def test_the_answers_are_those_of_a_model_in_this_process(workshop: Workshop) -> None:
    with open_isolated(workshop) as session:
        for batch in (1, 2, 400_000):
            x = np.full((batch, 4), 1.5, np.float32)
            assert np.array_equal(session.run({"x": x})["y"], 2 * x)


def test_outputs_belong_to_the_caller(workshop: Workshop) -> None:
    with open_isolated(workshop) as session:
        first = session.run({"x": X})["y"]
        session.run({"x": X + 1})
    assert np.array_equal(first, 2 * X)
    first += 1


def test_scattered_and_read_only_inputs_are_fine(workshop: Workshop) -> None:
    x = np.repeat(X, 2, axis=1)[:, ::2]
    x.flags.writeable = False
    with open_isolated(workshop) as session:
        assert np.array_equal(session.run({"x": x})["y"], 2 * X)


def test_inputs_are_checked_before_they_leave(workshop: Workshop) -> None:
    with open_isolated(workshop) as session:
        with pytest.raises(InputError):
            session.run({"x": X.astype(np.int32)})
        assert np.array_equal(session.run({"x": X})["y"], 2 * X)


def test_there_is_no_native_object(workshop: Workshop) -> None:
    with open_isolated(workshop) as session, pytest.raises(UsageError, match="isolated process"):
        _ = session.native


def test_the_report_says_how_it_is_hardened(workshop: Workshop) -> None:
    with open_isolated(workshop) as session:
        hardening = session.report.hardening
        assert hardening is not None
        assert "no core dumps" in hardening.in_force
        told = " ".join(session.report.notes)
        assert all(missing in told for missing in hardening.missing)
    with workshop.open(workshop.seal()) as session:
        assert session.report.hardening is None


def test_closing_ends_the_process_and_gives_everything_back(workshop: Workshop) -> None:
    before, running = settled_descriptors(), children()
    with open_isolated(workshop) as session:
        session.run({"x": X})
        assert len(children() - running) == 1
    session.close()
    assert children() == running
    assert open_descriptors() == before
    with pytest.raises(UsageError, match="closed"):
        session.run({"x": X})


def test_a_session_that_nobody_holds_ends_its_process(workshop: Workshop) -> None:
    running = children()
    session = open_isolated(workshop)
    del session
    gc.collect()
    assert children() == running


def test_threads_share_a_session(workshop: Workshop) -> None:
    inputs = [np.full((3, 4), number, np.float32) for number in range(40)]
    with open_isolated(workshop) as session, ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda x: session.run({"x": x})["y"], inputs))
    assert all(np.array_equal(y, 2 * x) for x, y in zip(inputs, outputs, strict=True))


def test_a_task_can_wait_for_it(workshop: Workshop) -> None:
    with open_isolated(workshop) as session:
        assert np.array_equal(asyncio.run(session.run_async({"x": X}))["y"], 2 * X)


def test_a_thread_that_opens_it_may_end(workshop: Workshop) -> None:
    sessions: list[Session] = []
    thread = threading.Thread(target=lambda: sessions.append(open_isolated(workshop)))
    thread.start()
    thread.join()
    with sessions[0] as session:
        assert np.array_equal(session.run({"x": X})["y"], 2 * X)


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSEGV])
def test_a_crash_is_an_error_and_nothing_more(workshop: Workshop, kind: signal.Signals) -> None:
    running = children()
    with open_isolated(workshop) as session:
        (pid,) = children() - running
        os.kill(pid, kind)
        with pytest.raises(RuntimeCrashedError, match="memory" if kind == signal.SIGKILL else "SIGSEGV"):
            session.run({"x": X})
        with pytest.raises(RuntimeCrashedError):
            session.run({"x": X})
    assert children() == running


def endless_model() -> bytes:
    """Returns a model that counts to a number that it never reaches."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Mul", ["v", "x"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    constants = [
        helper.make_tensor("times", TensorProto.INT64, [], [2**62]),
        helper.make_tensor("true", TensorProto.BOOL, [], [True]),
    ]
    graph = helper.make_graph(
        [helper.make_node("Loop", ["times", "true", "x"], ["y"], body=body)],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_a_model_that_does_not_end_is_ended(workshop: Workshop) -> None:
    source = workshop.folder / "endless.onnx"
    source.write_bytes(endless_model())
    running = children()
    with workshop.open(workshop.seal(source), isolation=ProcessIsolation(timeout=0.2)) as session:
        with pytest.raises(RuntimeTimeoutError):
            session.run({"x": np.ones(1, np.float32)})
        assert children() == running
        with pytest.raises(RuntimeCrashedError):
            session.run({"x": np.ones(1, np.float32)})


def greedy_model() -> bytes:
    """Returns a model whose output is as large as its input says."""
    graph = helper.make_graph(
        [helper.make_node("ConstantOfShape", ["x"], ["big"]), helper.make_node("ReduceMax", ["big"], ["y"])],
        "greedy",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_a_model_that_takes_too_much_memory_is_an_error(workshop: Workshop) -> None:
    source = workshop.folder / "greedy.onnx"
    source.write_bytes(greedy_model())
    isolation = ProcessIsolation(memory_limit=256 * 2**20)
    with workshop.open(workshop.seal(source), isolation=isolation) as session:
        with pytest.raises(UnavailableError):
            session.run({"x": np.array([2**30])})
        assert session.run({"x": np.array([4])})["y"] == 0


def test_opening_that_takes_too_long_is_ended(workshop: Workshop) -> None:
    running = children()
    with pytest.raises(RuntimeTimeoutError):
        open_isolated(workshop, isolation=ProcessIsolation(open_timeout=0.001))
    open_isolated(workshop).close()
    assert children() == running


def test_what_does_not_load_is_said_in_the_words_of_the_runtime(workshop: Workshop) -> None:
    with pytest.raises(UsageError, match="no option 'frob'"):
        open_isolated(workshop, frob=1)
    with pytest.raises(UsageError, match="no runtime is named"):
        open_isolated(workshop, runtime="frob")


def test_options_are_plain_data(workshop: Workshop) -> None:
    with open_isolated(workshop, profile="single-copy", providers=("CPUExecutionProvider",)) as session:
        assert np.array_equal(session.run({"x": X})["y"], 2 * X)
    with pytest.raises(UsageError, match="plain data"):
        open_isolated(workshop, session_options=object())


def test_tampered_weights_are_refused(workshop: Workshop) -> None:
    bundle = workshop.seal()
    content = bytearray(bundle.read_bytes())
    place = len(content) - 1024 - 4096  # the last member is padded to a whole page
    content[place : place + 4096] = bytes(4096)
    bundle.write_bytes(content)
    running = children()
    with pytest.raises((TamperedError, MalformedError)):
        workshop.open(bundle, isolation="process")
    assert children() == running


def test_an_installation_opens_like_a_bundle(workshop: Workshop) -> None:
    installed = workshop.folder / "installed.keep"
    modelkeep.install(workshop.seal(), installed, identity=workshop.identity(), verifier=workshop.verifier())
    with workshop.open(installed, isolation="process") as session:
        assert np.array_equal(session.run({"x": X})["y"], 2 * X)


def test_progress_is_told(workshop: Workshop) -> None:
    told: list[int] = []
    model = workshop.model(size=300_000)
    with workshop.open(workshop.seal(model), isolation="process", progress=told.append):
        assert sum(told) == model.stat().st_size


def test_a_forked_child_neither_uses_nor_keeps_the_process(workshop: Workshop) -> None:
    running = children()
    session = open_isolated(workshop)
    (pid,) = children() - running
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        session.close()
        os.write(write, str(len(open_descriptors())).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    os.close(write)
    os.close(read)
    assert np.array_equal(session.run({"x": X})["y"], 2 * X)
    session.close()
    assert not Path("/proc", str(pid)).exists()


def test_the_process_ends_with_its_parent(workshop: Workshop) -> None:
    running = children()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        before = children()
        session = open_isolated(workshop)
        (pid,) = children() - before
        os.write(write, f"{pid}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
        session.close()
    os.close(write)
    with os.fdopen(read) as told:
        pid = int(told.readline())
    os.waitpid(child, 0)
    assert _ends(pid)
    assert children() == running


def _ends(pid: int) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor) as process:
        return select.select([process], [], [], 60)[0] != []


@pytest.mark.parametrize("secret", [True, False])
def test_weights_may_be_secret(workshop: Workshop, secret: bool) -> None:
    running = children()
    bundle = workshop.seal(workshop.model(size=20_000))
    with workshop.open(bundle, isolation=ProcessIsolation(secret=secret)) as session:
        x = np.ones((1, 20_000), np.float32)
        assert np.array_equal(session.run({"x": x})["y"], 2 * x)
        (pid,) = children() - running
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert ("secretmem" in maps) == secret


def test_a_runtime_that_takes_no_memory_of_ours_cannot_keep_secrets(workshop: Workshop) -> None:
    tflite_models = pytest.importorskip("support.tflite_models")
    source = workshop.folder / "net.tflite"
    source.write_bytes(tflite_models.dense_model([np.ones((4, 4), np.float32)]))
    with pytest.raises(UsageError, match="secret"):
        workshop.open(workshop.seal(source), isolation=ProcessIsolation(secret=True))


@pytest.mark.parametrize("isolation", ["frob", None, 1])
def test_an_unknown_isolation_is_refused(workshop: Workshop, isolation: Any) -> None:
    with pytest.raises(UsageError, match="no such isolation"):
        open_isolated(workshop, isolation=isolation)


@pytest.mark.parametrize("field", ["timeout", "open_timeout", "memory_limit"])
def test_settings_are_checked(field: str) -> None:
    arguments: dict[str, Any] = {field: 0}
    with pytest.raises(UsageError, match=field):
        ProcessIsolation(**arguments)


@pytest.fixture
def taken_over(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.syspath_prepend(intruder.install(workshop.folder / "site"))
    session = open_isolated(workshop, runtime=intruder.PACKAGE, isolation=ProcessIsolation(timeout=1))
    session.contract = None
    return session


@pytest.mark.parametrize("attempt", ["die SIGABRT", "exit 3", "hang"])
def test_whatever_a_runtime_does_the_caller_lives_on(taken_over: Session, attempt: str) -> None:
    with taken_over, pytest.raises(RuntimeCrashedError):
        taken_over.run({"x": np.array(attempt)})
