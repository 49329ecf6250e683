"""Watching: a new release takes over under load, and not one call is dropped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.errors import RuntimeCrashedError, StorageError, UsageError
from modelkeep.session import Session
from modelkeep.updates.installation import install
from modelkeep.updates.slots import Slots
from modelkeep.updates.watch import Watched, watch
from support.slots import slots_with, update
from support.workshop import Workshop

X = np.array([[1, 2, 3, 4]], np.float32)
NEVER = 3600.0


@pytest.fixture
def slots(workshop: Workshop) -> Slots:
    """Slots in which a model that doubles counts."""
    return slots_with(workshop, 2.0)


def watched(workshop: Workshop, path: Path, **options: Any) -> Watched:
    settings: dict[str, Any] = {"interval": NEVER, **options}
    return watch(path, identity=workshop.identity(), verifier=workshop.verifier(), **settings)


def factor(model: Watched) -> float:
    return float(model.run({"x": X})["y"][0, 0])


@contextmanager
def load(call: Callable[[], float], threads: int = 2) -> Iterator[list[float]]:
    """Calls from several threads all the time; gives what came out, and raises what did instead."""
    results: list[float] = []
    faults: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            while not done.is_set():
                results.append(call())
        except BaseException as fault:
            faults.append(fault)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for each in workers:
        each.start()
    try:
        yield results
    finally:
        done.set()
        for each in workers:
            each.join()
    assert faults == []


def wait_for(results: list[float], wanted: float) -> None:
    deadline = threading.Event()
    start = len(results)
    for _ in range(3000):
        if wanted in results[start:]:
            return
        deadline.wait(0.02)
    raise AssertionError(f"no {wanted} among {len(results) - start} results")


@pytest.mark.parametrize(
    "options", [{}, {"gap": True}, {"isolation": "process"}], ids=["room-for-two", "gap", "isolated"]
)
def test_no_call_is_dropped_while_releases_take_over(
    workshop: Workshop, slots: Slots, options: dict[str, Any]
) -> None:
    with (
        watched(workshop, slots.folder.path, interval=0.02, **options) as model,
        load(lambda: factor(model)) as results,
    ):
        wait_for(results, 2.0)
        update(workshop, slots, 3.0)
        wait_for(results, 3.0)
    assert set(results) == {2.0, 3.0}
    assert [swap.gap > 0 for swap in model.swaps] == [options.get("gap", False)]


def test_an_event_loop_is_served_meanwhile(workshop: Workshop, slots: Slots) -> None:
    async def calls(model: Watched) -> list[float]:
        outputs = await asyncio.gather(*(model.run_async({"x": X}) for _ in range(20)))
        return [float(each["y"][0, 0]) for each in outputs]

    async def all_of_it(model: Watched) -> None:
        assert set(await calls(model)) == {2.0}
        await asyncio.to_thread(update, workshop, slots, 3.0)
        under_way = asyncio.create_task(calls(model))
        assert await asyncio.to_thread(model.check)
        assert set(await under_way) <= {2.0, 3.0}
        assert set(await calls(model)) == {3.0}

    with watched(workshop, slots.folder.path) as model:
        asyncio.run(all_of_it(model))


@pytest.mark.parametrize(("gap", "order"), [(False, ["open", "close"]), (True, ["close", "open"])])
def test_in_a_gap_there_is_room_for_one(
    workshop: Workshop, slots: Slots, monkeypatch: pytest.MonkeyPatch, gap: bool, order: list[str]
) -> None:
    events: list[str] = []
    with watched(workshop, slots.folder.path, gap=gap) as model:
        close, opening = Session.close, model._opening

        def closing(session: Session) -> None:
            events.append("close")
            close(session)

        def opened() -> Session:
            events.append("open")
            return opening()

        update(workshop, slots, 3.0)
        with monkeypatch.context() as patch:
            patch.setattr(Session, "close", closing)
            patch.setattr(model, "_opening", opened)
            assert model.check()
        assert (events, factor(model)) == (order, 3.0)


def test_what_cannot_be_opened_does_not_end_what_runs(
    workshop: Workshop, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Session:
        raise StorageError("input/output error")

    with watched(workshop, slots.folder.path) as model:
        update(workshop, slots, 3.0)
        with monkeypatch.context() as patch, pytest.raises(StorageError):
            patch.setattr(model, "_opening", fail)
            model.check()
        assert factor(model) == 2.0
        model._again = 0.0
        assert model.check() and factor(model) == 3.0
        assert not model.check()
    with watched(workshop, slots.folder.path, gap=True) as model:
        update(workshop, slots, 4.0)
        with monkeypatch.context() as patch, pytest.raises(StorageError):
            patch.setattr(model, "_opening", fail)
            model.check()
        with pytest.raises(StorageError, match="input/output"):
            factor(model)
        model._again = 0.0
        assert model.check() and factor(model) == 4.0
    with pytest.raises(UsageError, match="is closed"):
        factor(model)


def test_an_installation_that_is_replaced(workshop: Workshop) -> None:
    path = workshop.folder / "installed.keep"
    for weight in (2.0, 3.0):
        bundle = workshop.seal(workshop.model(weight))
        access: dict[str, Any] = {"identity": workshop.identity(), "verifier": workshop.verifier()}
        install(bundle, path, force=True, **access)
        if weight == 2.0:
            model = watched(workshop, path)
    with model:
        assert factor(model) == 2.0
        assert model.check() and factor(model) == 3.0


def test_a_process_that_crashed_is_started_anew(
    workshop: Workshop, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_session: Session, _inputs: Any, *, copy: bool) -> None:
        raise RuntimeCrashedError("the process of the isolated model ended")

    with watched(workshop, slots.folder.path) as model:
        with monkeypatch.context() as patch:
            patch.setattr(Session, "run", crash)
            with pytest.raises(RuntimeCrashedError):
                factor(model)
        # Waits for the next look, which the crash brought forward.
        assert factor(model) == 2.0
        with pytest.raises(UsageError, match="arrays by name"):
            model.run([X])  # type: ignore[arg-type]
