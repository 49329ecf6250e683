"""An attack that needs no gradients: squares at random places, kept where they help."""

from __future__ import annotations

import numpy as np

from benches.guard.attacks import Attack, Task
from benches.guard.network import Numbers, Values


def square(share: float, queries: int = 300) -> Attack:
    """Squares, or stretches of time, of plus or minus `share` of the range."""

    def run(task: Task, random: np.random.Generator) -> Values:
        reach = float(task.reach(share))
        shape = task.start.shape[1:]
        signs = random.choice([-reach, reach], (len(task.start), 1, *shape[1:]))
        found = task.finished((task.start + signs).astype(np.float32))
        value = _lead(task, found)
        for query in range(queries):
            side = max(1, round(min(shape[:2]) * 0.5 * (1 - query / queries) ** 2))
            tried = found.copy()
            for each, origin in zip(tried, task.start, strict=True):
                y, x = (int(random.integers(0, length - side + 1)) for length in shape[:2])
                place = (slice(y, y + side), slice(x, x + side))
                each[place] = origin[place] + random.choice([-reach, reach], shape[2:])
            tried = task.finished(tried)
            new = _lead(task, tried)
            better = new < value
            found[better], value = tried[better], np.where(better, new, value)
        return found

    return run


def _lead(task: Task, samples: Values) -> Numbers:
    logits = task.network.logits(samples).astype(np.float64)
    own = np.eye(logits.shape[1], dtype=bool)[task.labels]
    return np.asarray(logits[own] - np.where(own, -np.inf, logits).max(axis=1))
