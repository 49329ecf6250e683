"""`python -m benches.guard.cost`: what the guard costs, as in docs/guard.md."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard import ClientGuard, Guard
from modelkeep.guard.calibration import Calibration
from modelkeep.guard.fit import Fit
from modelkeep.guard.plan import Plan
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
    print(
        "| frame | type | copy | pass | pass / copy | five separate NumPy checks |\n|---|---|---|---|---|---|"
    )
    for size in SIZES:
        for kind in RANGES:
            print(_pass_row(_frame(size, kind, generator), kind))
    print("\n| whole check | time |\n|---|---|")
    for size in SIZES:
        print(_check_row(_frame(size, "float32", generator)[None]))
    print(_outputs_row(generator))
    print(_clients_row(generator))


def best(work: Callable[[], object], rounds: int = 30) -> float:
    """Returns the shortest time of some rounds, in microseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times)


def _frame(size: tuple[int, int], kind: str, generator: np.random.Generator) -> Frame:
    levels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    if kind.startswith("float"):
        return (levels / 255).astype(kind)
    return levels.view(kind)


def _pass_row(frame: Frame, kind: str) -> str:
    low, high = RANGES[kind]
    target = np.empty_like(frame)
    copy = best(lambda: np.copyto(target, frame))
    whole = best(lambda: summarize(frame, low, high))
    separate = best(lambda: _five_checks(frame), 10)
    size = f"{frame.shape[1]} x {frame.shape[0]}"
    return f"| {size} | {kind} | {copy:.0f} µs | {whole:.0f} µs | {whole / copy:.1f} | {separate:.0f} µs |"


def _five_checks(frame: Frame) -> object:
    known = isinstance(frame, np.ndarray) and frame.shape
    return known, np.isinf(frame).any(), (frame == 0).mean(), frame.min(), frame.max()


def _check_row(frames: Frame) -> str:
    guard = _guard({"x": frames}, {})
    spent = best(lambda: guard.check_inputs({"x": frames}), 10)
    return f"| inputs, {frames.shape[2]} x {frames.shape[1]} float32 | {spent:.0f} µs |"


def _outputs_row(generator: np.random.Generator) -> str:
    def outputs() -> dict[str, Frame]:
        return {
            name: generator.normal(size=(1, count)).astype(np.float32)
            for name, count in (("y", 1000), ("h", 1280))
        }

    guard = _guard({"x": np.zeros((1, 8, 8, 3), np.float32)}, outputs())
    made = outputs()
    return f"| outputs, 1000 classes with 1280 features | {best(lambda: guard.check_outputs(made)):.0f} µs |"


def _clients_row(generator: np.random.Generator) -> str:
    guard = ClientGuard(quota=10**9)
    frames = [_frame((224, 224), "float32", generator) for _ in range(60)]
    for frame in frames:
        guard.check("a", {"x": frame})
    return f"| one client, 224 x 224 float32 | {best(lambda: guard.check('a', {'x': frames[0]})):.0f} µs |"


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
