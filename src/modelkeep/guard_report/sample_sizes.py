"""How many clean samples the threshold of inputs should be set with: the same faults, fewer samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelkeep.errors import UsageError
from modelkeep.guard.faults import GROSS
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.scores import threshold
from modelkeep.guard_report.chance import generator

_DRAWS = 40
_STEP = 1.5


def sample_sizes(
    clean: Sequence[float], faults: Sequence[dict[str, Any]], profile: GuardProfile, seed: int
) -> list[dict[str, Any]]:
    """Returns what the stage ``signal`` would catch, had its threshold been set with so many samples.

    Each size is drawn many times from the clean samples of the report, so sizes up to theirs are known.

    Args:
        clean: scores of the clean samples by the rule ``surprise``.
        faults: rows with the scores of faulty samples as `scores`.
        profile: whose rates hold.
        seed: where chance starts.
    """
    faulty = np.array([score for row in faults if row["fault"] in GROSS for score in row["scores"]])
    random = generator(seed, "sample sizes")
    rows = []
    for size in _sizes(len(clean)) if len(faulty) else []:
        try:
            caught = [
                float(
                    (
                        faulty
                        > threshold(random.choice(clean, size, replace=False), profile.alpha, profile.delta)
                    ).mean()
                )
                for _ in range(_DRAWS)
            ]
        except UsageError:  # too few for this rate
            continue
        rows.append({"samples": size, "caught": float(np.mean(caught)), "worst": min(caught)})
    return rows


def _sizes(most: int) -> list[int]:
    sizes = {most}
    while (smaller := round(min(sizes) / _STEP)) >= 10:
        sizes.add(smaller)
    return sorted(sizes)
