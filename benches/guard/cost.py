"""`python -m benches.guard.cost`: what the guard costs, as in docs/guard.md."""

from __future__ import annotations

import logging
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelkeep.contract import Contract, TensorContract
from modelkeep.guard import ClientGuard, Guard
from modelkeep.guard.calibration import Calibration
from modelkeep.guard.contract_check import ContractCheck
from modelkeep.guard.fit import Fit
from modelkeep.guard.plan import Plan
from modelkeep.guard.reader import Reader
from modelkeep.guard.sample import measure
from modelkeep.guard.statistics import summarize

Frame = NDArray[np.generic]

SIZES = ((224, 224), (1080, 1920))
RANGES = {"float32": (0, 1), "float16": (0, 1), "uint8": (0, 255), "int8": (-128, 127)}
SEED = 7


def main() -> None:
    """Prints the tables."""
    logging.disable(logging.WARNING)
    generator = np.random.default_rng(SEED)
    print(f"{machine()}; shortest / median\n")
    print(
        "| frame | type | copy | pass | pass / copy | five separate NumPy checks |\n|---|---|---|---|---|---|"
    )
    for size in SIZES:
        for kind in RANGES:
            print(_pass_row(_frame(size, kind, generator), kind))
    print("\n| whole check | time |\n|---|---|")
    print(_outputs_row(generator))
    print(_clients_row(generator))
    print("\n| contract and guard | type | copy | check | check / copy | contract | measuring and judging |")
    print("|---|---|---|---|---|---|---|")
    for size in SIZES:
        for kind in ("float32", "uint8"):
            print(_check_row(_frame(size, kind, generator)[None], kind))


def times(*works: Callable[[], object], rounds: int = 200) -> list[tuple[float, float]]:
    """Returns the shortest and the median time of each work, in microseconds.

    The works take turns, so that what else the machine does falls on all of them. Each leaves the
    cache to the next one as it is: what they read is as warm, or as cold, for every one.
    """
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, found in zip(works, spent, strict=True):
            start = time.perf_counter()
            work()
            found.append(time.perf_counter() - start)
    return [(1e6 * min(found), 1e6 * statistics.median(found)) for found in spent]


def machine() -> str:
    """Returns the processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    load = os.getloadavg()[0]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, load {load:.1f}"


def _frame(size: tuple[int, int], kind: str, generator: np.random.Generator) -> Frame:
    levels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    if kind.startswith("float"):
        return (levels / 255).astype(kind)
    return levels.view(kind)


def _pass_row(frame: Frame, kind: str) -> str:
    low, high = RANGES[kind]
    target = np.empty_like(frame)
    copy, whole, separate = times(
        lambda: np.copyto(target, frame),
        lambda: summarize(frame, low, high),
        lambda: _five_checks(frame),
        rounds=200 if frame.size < 10**6 else 30,
    )
    size = f"{frame.shape[1]} x {frame.shape[0]}"
    ratios = f"{whole[0] / copy[0]:.1f} / {whole[1] / copy[1]:.1f}"
    return f"| {size} | {kind} | {_both(copy)} | {_both(whole)} | {ratios} | {_both(separate)} |"


def _both(found: tuple[float, float]) -> str:
    return f"{found[0]:.0f} / {found[1]:.0f} µs"


def _five_checks(frame: Frame) -> object:
    known = isinstance(frame, np.ndarray) and frame.shape
    return known, np.isinf(frame).any(), (frame == 0).mean(), frame.min(), frame.max()


def _check_row(frames: Frame, kind: str) -> str:
    guard, target = _guard({"x": frames}, {}), np.empty_like(frames)
    contract = ContractCheck(Contract((TensorContract("x", kind, frames.shape),)))
    reader = Reader(guard.profile.inputs)
    copy, whole, *parts = times(
        lambda: np.copyto(target, frames),
        lambda: (contract.findings({"x": frames}), guard.check_inputs({"x": frames})),
        lambda: contract.findings({"x": frames}),
        lambda: reader.read({"x": frames}),
        rounds=200 if frames.size < 10**6 else 30,
    )
    ratios = f"{whole[0] / copy[0]:.1f} / {whole[1] / copy[1]:.1f}"
    size = f"{frames.shape[2]} x {frames.shape[1]}"
    of_it = " | ".join(map(_both, parts))
    return f"| {size} | {kind} | {_both(copy)} | {_both(whole)} | {ratios} | {of_it} |"


def _outputs_row(generator: np.random.Generator) -> str:
    def outputs() -> dict[str, Frame]:
        return {
            name: generator.normal(size=(1, count)).astype(np.float32)
            for name, count in (("y", 1000), ("h", 1280))
        }

    guard = _guard({"x": np.zeros((1, 8, 8, 3), np.float32)}, outputs())
    made = outputs()
    (spent,) = times(lambda: guard.check_outputs(made))
    return f"| outputs, 1000 classes with 1280 features | {_both(spent)} |"


def _clients_row(generator: np.random.Generator) -> str:
    guard = ClientGuard(quota=10**9)
    frames = [_frame((224, 224), "float32", generator) for _ in range(60)]
    for frame in frames:
        guard.check("a", {"x": frame})
    (spent,) = times(lambda: guard.check("a", {"x": frames[0]}), rounds=100)
    return f"| one client, 224 x 224 float32 | {_both(spent)} |"


def _guard(inputs: dict[str, Frame], outputs: dict[str, Frame]) -> Guard:
    """Returns a guard whose thresholds mean nothing: it costs what another one does."""
    plan = Plan.make(inputs, outputs, layouts={"x": "NHWC"}, embedding="h" if outputs else None)
    measured = measure(plan, inputs, outputs)
    fit = Fit(plan)
    for _ in range(40):
        fit.add(measured)
    calibration = Calibration(fit.freeze())
    for _ in range(40):
        calibration.add(measured)
    return Guard(calibration.finish(bytes(32), alpha=0.3, delta=0.3))


if __name__ == "__main__":
    main()
