"""What a process of its own costs: how soon it is ready, what a run takes, how fast it is gone.

    python benches/isolation.py

The model picks a few of 150,000 numbers (600 KB of float32), so that what is measured is the way there
and back. The contract check is counted apart: it is the same in both modes.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from modelkeep.isolation import ProcessIsolation
from modelkeep.isolation.preparation import PREPARATION

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

LENGTH = 150_000
RUNS, OPENINGS = 3000, 15
FIRST = "process, the first"
MODES: dict[str, Any] = {
    "in-process": "in-process",
    FIRST: "process",
    "process": "process",
    "process, fresh": ProcessIsolation(fresh=True),
}
MODEL_ID = "acme/detector"


def picking_model() -> bytes:
    """Returns a model whose 10 outputs are the first of its inputs, scaled by one of as many weights."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Gather", ["x", "i"], ["g"], axis=1), helper.make_node("Mul", ["g", "w"], ["y"])],
        "picking",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, LENGTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [
            numpy_helper.from_array(np.arange(10), "i"),
            numpy_helper.from_array(np.full(10, 2.0, np.float32), "w"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def times(action: Callable[[], object], count: int) -> list[float]:
    """Returns how long each of `count` calls took, in microseconds, sorted."""
    taken = []
    for _ in range(count):
        start = time.perf_counter_ns()
        action()
        taken.append((time.perf_counter_ns() - start) / 1000)
    return sorted(taken)


def report(name: str, taken: list[float], unit: str = "us", scale: float = 1.0) -> None:
    """Prints best, median and 99th percentile."""
    middle, late = statistics.median(taken), taken[int(0.99 * len(taken))]
    figures = (taken[0] / scale, middle / scale, late / scale)
    print(
        f"{name:44} best {figures[0]:8.1f}  p50 {figures[1]:8.1f}  p99 {figures[2]:8.1f} {unit}", flush=True
    )


def main() -> None:
    """Measures both modes."""
    from support.workshop import Workshop

    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"load of the machine: {load}; cores: {os.cpu_count()}")
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder))
        source = Path(folder, "picking.onnx")
        source.write_bytes(picking_model())
        bundle = workshop.seal(source)
        x = np.ones((1, LENGTH), np.float32)
        openers = {
            name: lambda isolation=isolation: workshop.open(bundle, isolation=isolation)  # type: ignore[misc]
            for name, isolation in MODES.items()
        }
        ready(openers, x)
        for name in ("in-process", "process"):
            measure(name, openers[name], x)


def ready(openers: dict[str, Callable[[], Any]], x: Any) -> None:
    """Prints how soon each mode is ready, taken in turns, and what of the processor it takes here."""
    taken: dict[str, list[float]] = {name: [] for name in openers}
    gone: dict[str, list[float]] = {name: [] for name in openers}
    for opener in openers.values():
        opener().close()
    for _ in range(OPENINGS):
        for name, opener in openers.items():
            if name == FIRST:
                PREPARATION.end()
            start = time.perf_counter_ns()
            session = opener()
            session.run({"x": x})
            taken[name].append((time.perf_counter_ns() - start) / 1000)
            gone[name] += times(session.close, 1)
    for name, each in taken.items():
        report(f"{name}: ready, first run included", sorted(each), "ms", 1000)
    for name, each in gone.items():
        report(f"{name}: close", sorted(each), "ms", 1000)


def measure(isolation: str, opener: Callable[[], Any], x: Any) -> None:
    """Prints what a run takes in one mode."""
    with opener() as session:
        times(lambda: session.run({"x": x}), 200)
        report(f"{isolation}: run", times(lambda: session.run({"x": x}), RUNS))
        contract, session.contract = session.contract, None
        report(f"{isolation}: run without contract check", times(lambda: session.run({"x": x}), RUNS))
        session.contract = contract


if __name__ == "__main__":
    main()
