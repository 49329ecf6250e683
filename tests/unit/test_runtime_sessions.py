"""Many threads, many models, many sessions one after the other."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from modelkeep.errors import InputError, UsageError
from support.descriptors import open_descriptors, settled_descriptors
from support.workshop import Workshop

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def test_threads_share_a_session(workshop: Workshop) -> None:
    with workshop.open(workshop.seal(workshop.model(3.0))) as session, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: session.run({"x": X * n})["y"], range(64)))
    assert all(np.array_equal(result, X * n * 3) for n, result in enumerate(results))


def test_several_models_are_open_at_once(workshop: Workshop) -> None:
    sessions = [workshop.open(workshop.seal(workshop.model(float(weight)))) for weight in range(1, 6)]
    sessions.pop(0).close()
    for weight, session in enumerate(sessions, start=2):
        assert np.array_equal(session.run({"x": X})["y"], X * weight)
        session.close()


def test_a_session_can_be_awaited(workshop: Workshop) -> None:
    async def everything() -> list[dict[str, np.ndarray]]:
        with workshop.open(workshop.seal(workshop.model(3.0))) as session:
            with pytest.raises(InputError):
                await session.run_async({"x": np.full((1, 4), np.nan, np.float32)})
            return await asyncio.gather(*(session.run_async({"x": X * n}) for n in range(10)))

    for n, result in enumerate(asyncio.run(everything())):
        assert np.array_equal(result["y"], X * n * 3)


def test_closing_waits_for_runs_and_then_refuses(workshop: Workshop) -> None:
    """Threads run without a pause while another one closes: each run is right, or refused in words."""
    session, started = workshop.open(workshop.seal(workshop.model(3.0))), threading.Barrier(5)

    def run_on() -> bool:
        started.wait(10)
        while True:
            try:
                right = np.array_equal(session.run({"x": X})["y"], X * 3)
            except UsageError:
                return True
            if not right:
                return False

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(run_on) for _ in range(4)]
        started.wait(10)
        session.close()
        assert all(run.result(10) for run in runs)


def test_native_ends_with_a_session_that_nobody_closed(workshop: Workshop) -> None:
    native = workshop.open(workshop.seal()).native
    gc.collect()
    with pytest.raises(AttributeError):
        native.run(None, {"x": X})


@pytest.mark.parametrize("profile", ["fast", "single-copy"])
def test_a_hundred_opens_leave_nothing_behind(workshop: Workshop, profile: str) -> None:
    bundle = workshop.seal(workshop.model(size=100_000))
    x = np.ones((1, 100_000), np.float32)

    def open_and_close(times: int) -> None:
        for _ in range(times):
            with workshop.open(bundle, profile=profile) as session:
                session.run({"x": x})

    open_and_close(20)
    before, descriptors = resident(), settled_descriptors()
    open_and_close(100)
    # The allocator's noise is a few megabytes; a model that stays at each open would be forty.
    assert resident() - before < 50 * 400_000
    assert open_descriptors() == descriptors


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
