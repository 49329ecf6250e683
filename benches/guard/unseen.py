"""`python -m benches.guard.unseen FILE.npy ...`: faults and false alarms on data that nothing was chosen by.

Pictures [rows, columns, 3] are cut into tiles that share no element; other files hold samples along axis 0.
Which samples are learned from is drawn anew for every split.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.guard.learned import Learned, cut
from modelkeep.guard import Guard
from modelkeep.guard.faults import GROSS, faults_for, in_type
from modelkeep.guard_report.shares import share

Samples = NDArray[Any]
RATES = (0.01, 0.05)
HELD_OUT, FAULTY = 600, 100
_PICTURE_AXES = 3


def main() -> None:
    """Prints a table."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--side", type=int, default=32, help="of a tile (default: 32)")
    parser.add_argument("--axes", default="NHWC", help="of the samples (default: NHWC)")
    parser.add_argument("--clean", type=int, default=1300, help="samples to learn from (default: 1300)")
    parser.add_argument("--splits", type=int, default=20, help="how often (default: 20)")
    arguments = parser.parse_args()
    samples = np.concatenate([_samples(np.load(path), arguments.side) for path in arguments.files])
    splits = [
        _split(samples, arguments.axes, arguments.clean, np.random.default_rng(seed))
        for seed in range(arguments.splits)
    ]
    print(f"{len(samples)} samples; mean (worst) of {len(splits)} splits, clean ones with an interval")
    print("\n| inputs | gross | at 1 % | at 5 % |\n|---|---|---|---|")
    for name in splits[0]:
        cells = " | ".join(_cell(name, splits, rate) for rate in RATES)
        print(f"| {name} | {'yes' if name in GROSS else ''} | {cells} |")


def _samples(values: Samples, side: int) -> Samples:
    if values.ndim != _PICTURE_AXES:
        return values
    rows, columns = values.shape[0] // side, values.shape[1] // side
    tiles = values[: rows * side, : columns * side].reshape(rows, side, columns, side, values.shape[2])
    return tiles.swapaxes(1, 2).reshape(-1, side, side, values.shape[2])


def _split(samples: Samples, axes: str, clean: int, random: np.random.Generator) -> dict[str, Counter[float]]:
    """Returns for each fault how many were tried, under 0, and how many were alarms at each rate."""
    drawn = samples[random.permutation(len(samples))]
    learned = Learned(cut(drawn[:clean]), axes)
    held_out = cut(drawn[clean:][:HELD_OUT])
    guards = {rate: Guard(learned.profile(rate)) for rate in RATES}
    layout = guards[RATES[0]].profile.inputs[0].layout
    counted = {"clean": _count(guards, held_out)}
    for name, fault in faults_for(samples.dtype, layout).items():
        with np.errstate(all="ignore"):
            faulty = [in_type(fault(each, layout, random), each.dtype) for each in held_out[:FAULTY]]
        pairs = zip(faulty, held_out, strict=False)
        changed = [new for new, old in pairs if new.shape != old.shape or new.tobytes() != old.tobytes()]
        counted[name] = _count(guards, changed)
    return counted


def _count(guards: dict[float, Guard], samples: list[Samples]) -> Counter[float]:
    found = Counter({0.0: len(samples)})
    for rate, guard in guards.items():
        found[rate] = sum(bool(guard.check_inputs({"x": each})) for each in samples)
    return found


def _cell(name: str, splits: list[dict[str, Counter[float]]], rate: float) -> str:
    shares = [100 * split[name][rate] / max(split[name][0.0], 1) for split in splits]
    if name != "clean":
        return f"{np.mean(shares):.3g} ({min(shares):.3g})"
    total = share(sum(split[name][rate] for split in splits), sum(split[name][0.0] for split in splits))
    return f"{np.mean(shares):.2g} [{100 * total['low']:.2g}, {100 * total['high']:.2g}] ({max(shares):.2g})"


if __name__ == "__main__":
    main()
