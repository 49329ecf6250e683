"""`python -m benches.guard.splits`: faults and false alarms of the signal stage over many splits."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.guard.data import Data, digits, patches, sensor, tumours
from benches.guard.faults import faults
from benches.guard.learned import Learned, cut
from benches.guard.samples import COLUMNS, machine
from modelkeep.guard import Guard

Samples = NDArray[Any]
Fault = Callable[[Samples, np.random.Generator], Samples]
RATES = (0.01, 0.05)
HELD_OUT, FAULTY = 600, 100


def main() -> None:
    """Prints a table for each set."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--clean", type=int, default=1500, help="clean samples to learn from (default: 1500)")
    parser.add_argument("--splits", type=int, default=20, help="how often (default: 20)")
    parser.add_argument("--only", choices=sorted(_SETS), action="append", help="measure these sets")
    arguments = parser.parse_args()
    for name in arguments.only or _SETS:
        draw = _SETS[name]
        print(
            _table(name, [_split(draw, arguments.clean, seed) for seed in range(arguments.splits)]),
            flush=True,
        )


def _split(draw: Any, clean: int, seed: int) -> dict[str, list[float]]:
    random = np.random.default_rng(seed)
    samples, axes, cases = draw(random, clean + HELD_OUT)
    count = min(clean, len(samples) - HELD_OUT // 3)
    learned = Learned(cut(samples[:count]), axes)
    held_out = samples[count : count + HELD_OUT]
    inputs = {"clean": held_out, **{name: fault(held_out[:FAULTY], random) for name, fault in cases.items()}}
    rows: dict[str, list[float]] = {name: [] for name in inputs}
    for rate in RATES:
        guard = Guard(learned.profile(rate))
        for name, values in inputs.items():
            rows[name].append(float(np.mean([bool(guard.check_inputs({"x": each})) for each in cut(values)])))
    return rows


def _table(name: str, splits: list[dict[str, list[float]]]) -> str:
    lines = [
        f"\n{name}, mean and worst of {len(splits)} splits\n",
        "| inputs | at 1 % | at 5 % |",
        "|---|---|---|",
    ]
    for case in splits[0]:
        cells = []
        for place in range(len(RATES)):
            found = [100 * split[case][place] for split in splits]
            worst = max(found) if case == "clean" else min(found)
            cells.append(f"{np.mean(found):.3g} ({worst:.3g})")
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _of(make: Callable[[np.random.Generator], Data]) -> Any:
    def draw(random: np.random.Generator, count: int) -> tuple[Samples, str, dict[str, Fault]]:
        data = make(random)
        cases = dict(faults(data))
        if data.samples.ndim == 4 and data.samples.shape[3] == 3:
            cases["patch of 5 %"] = _patched
        if data.samples.ndim == 2:
            cases["x 3"] = lambda samples, _: samples * np.float32(3)
        return data.samples[random.permutation(len(data.samples))[:count]], data.axes, cases

    return draw


def _patched(samples: Samples, random: np.random.Generator) -> Samples:
    changed, side = samples.copy(), round((0.05 * samples.shape[1] * samples.shape[2]) ** 0.5)
    for sample in changed:
        y, x = random.integers(0, sample.shape[0] - side + 1, 2)
        sample[y : y + side, x : x + side] = random.integers(0, 256, (side, side, 3)) / np.float32(255)
    return changed


def _machine(random: np.random.Generator, count: int) -> tuple[Samples, str, dict[str, Fault]]:
    return machine(count, random), "NF", dict(_unit_errors())


def _unit_errors() -> Iterator[tuple[str, Fault]]:
    def column(name: str, change: Callable[[Samples], Samples]) -> Fault:
        place = COLUMNS.index(name)

        def fault(samples: Samples, _random: np.random.Generator) -> Samples:
            changed = samples.copy()
            changed[:, place] = change(changed[:, place])
            return changed

        return fault

    yield "x 255", lambda samples, _: samples * np.float32(255)
    yield "x 3", lambda samples, _: samples * np.float32(3)
    yield "ambient in Fahrenheit", column("ambient", lambda values: values * 1.8 + 32)
    yield "ambient in Kelvin", column("ambient", lambda values: values + 273.15)
    yield "humidity from 0 to 1", column("humidity", lambda values: values / 100)
    yield "vibration in inches", column("vibration", lambda values: values / 25.4)
    yield "flow -999", column("flow", lambda values: np.full_like(values, -999))
    yield "one NaN", column("pressure", lambda values: np.full_like(values, np.nan))
    yield "bearing and ambient swapped", lambda samples, _: samples[:, [0, 1, 2, 3, 5, 4, 6, 7, 8, 9, 10]]
    yield "bearing 15 degrees warmer", column("bearing", lambda values: values + 15)
    yield "bearing 5 degrees warmer", column("bearing", lambda values: values + 5)
    yield "current of another time", _stale


def _stale(samples: Samples, random: np.random.Generator) -> Samples:
    changed = samples.copy()
    changed[:, COLUMNS.index("current")] = random.permutation(changed[:, COLUMNS.index("current")])
    return changed


_SETS = {
    "patches": _of(patches),
    "digits": _of(digits),
    "sensor": _of(sensor),
    "tumours": _of(tumours),
    "machine": _machine,
}

if __name__ == "__main__":
    main()
