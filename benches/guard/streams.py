"""`python -m benches.guard.streams`: how soon lasting faults are noticed, and false alarms."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.guard.learned import Learned, cut
from benches.guard.samples import Frame, camera, machine, views
from modelkeep.guard import Guard, StreamGuard
from modelkeep.guard.reader import Reader

CLEAN, FRAMES, POOL = 1500, 300, 3000
Fault = Callable[[NDArray[np.float64], np.random.Generator], NDArray[Any]]


def main() -> None:
    """Prints how many frames it takes, then how many alarms clean frames give."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--frames", type=int, default=10**6, help="clean frames (default: 1000000)")
    arguments = parser.parse_args()
    print("| fault | frames to an alarm, median (worst) | single frames at 1 % |\n|---|---|---|")
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in _FAULTS}
    for number, view in enumerate(views()):
        random = np.random.default_rng(number)
        profile = Learned(camera(view, CLEAN, random), "NHWC").profile(0.01)
        for name, fault in _FAULTS.items():
            found[name].append(_watched(profile, view, fault, random))
    for name, rows in found.items():
        when = [row[0] for row in rows]
        share = 100 * np.mean([row[1] for row in rows])
        print(
            f"| {name} | {_words(float(np.median(when)))} ({_words(max(when))}) | {share:.0f} |", flush=True
        )
    print(f"\n{_false_alarms(arguments.frames)} alarms in {arguments.frames} clean frames")


def _words(frames: float) -> str:
    return f"{frames:.0f}" if frames <= FRAMES else f"over {FRAMES}"


def _watched(profile: Any, view: Frame, fault: Fault, random: np.random.Generator) -> tuple[int, float]:
    """Returns when the stream gave an alarm, and which share of single frames did by then."""
    guard, stream, alarms = Guard(profile), StreamGuard(profile), 0
    for place, frame in enumerate(camera(view, FRAMES, random), start=1):
        faulty = np.rint(fault(frame.astype(np.float64), random)).clip(0, 255).astype(np.uint8)
        alarms += bool(guard.check_inputs({"x": faulty}))
        if stream.check({"x": faulty}):
            return place, alarms / place
    return FRAMES + 1, alarms / FRAMES


def _false_alarms(frames: int) -> int:
    """Returns the alarms of three cameras and three machines, drawn from thousands of clean frames each."""
    alarms = 0
    for number, view in enumerate(views()[:3]):
        random = np.random.default_rng(100 + number)
        for samples, axes in (
            (camera(view, CLEAN + POOL, random), "NHWC"),
            (cut(machine(CLEAN + POOL, random)), "NF"),
        ):
            profile = Learned(samples[:CLEAN], axes).profile(0.01)
            signal = Reader(profile.inputs).read({"x": np.concatenate(samples[CLEAN:])})
            pool, stream = list(signal.frames()), StreamGuard(profile, repeats=None)
            alarms += sum(len(stream.watch(pool[place])) for place in random.integers(POOL, size=frames // 6))
    return alarms


def _blurred(frame: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    for _ in range(times):
        for axis in (1, 2):
            frame = (np.roll(frame, 1, axis) + 2 * frame + np.roll(frame, -1, axis)) / 4
    return frame


def _dirty(frame: NDArray[np.float64]) -> NDArray[np.float64]:
    y, x = np.mgrid[0 : frame.shape[1], 0 : frame.shape[2]]
    spot = ((y - 40) ** 2 + (x - 50) ** 2 < 80)[None, ..., None]
    return np.where(spot, 0.6 * frame + 30, frame)


_FAULTS: dict[str, Fault] = {
    "lens cap": lambda frame, random: np.abs(random.normal(2, 1.5, frame.shape)),
    "out of focus, a little": lambda frame, _: _blurred(frame, 1),
    "out of focus": lambda frame, _: _blurred(frame, 4),
    "noise": lambda frame, random: frame + random.normal(0, 15, frame.shape),
    "noise, a little": lambda frame, random: frame + random.normal(0, 2, frame.shape),
    "fog": lambda frame, _: 0.55 * frame + 90,
    "haze": lambda frame, _: 0.93 * frame + 12,
    "colours swapped": lambda frame, _: frame[..., ::-1],
    "darker by a tenth": lambda frame, _: 0.9 * frame,
    "a spot of dirt": lambda frame, _: _dirty(frame),
    "mirrored": lambda frame, _: frame[:, :, ::-1],
}

if __name__ == "__main__":
    main()
