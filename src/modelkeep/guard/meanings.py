"""What features mean: words for people, and values in the units of the input.

docs/guard.md explains each kind at length, under the same codes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from modelkeep.guard import features
from modelkeep.guard.features import LEAST, LEAST_STEP, UNIT, Feature
from modelkeep.guard.layout import Layout

JOINT = Feature("joint")
WORDS: Mapping[str, str] = {
    "not-finite": "share of NaN and infinities",
    "zeros": "share of zeros",
    "saturated": "share at or beyond an end of the range",
    "stuck-rows": "share of rows that repeat the row above",
    "smallest-step": "smallest step between neighbours",
    "entropy": "bits of the histogram",
    "peak": "largest share of one part of the range",
    "row-edges": "sharpness of the sharpest row",
    "row-tint": "colour edges of the sharpest row",
    "row-edges-over-all": "sharpest row over all rows",
    "row-tint-over-all": "colour edges of one row over all rows",
    "row-step-over-all": "step to one row over steps to all rows",
    "seam": "step to one row over those before and behind",
    "magnitude": "order of magnitude of all columns",
    "minimum": "lowest value",
    "maximum": "highest value",
    "mean": "mean",
    "spread": "standard deviation",
    "step-x": "mean step to the left",
    "step-y": "mean step upwards",
    "edges": "sharpness",
    "roughness": "sharpness over standard deviation",
    "grain": "sharpness over mean step",
    "flat": "share equal to the left neighbour",
    "link": "how edges follow those of the next channel",
    "logarithm": "order of magnitude",
    "linear": "value",
    "joint": "features that do not go together",
}
_OF_RANGE = {"minimum", "maximum", "mean"}
_OF_EXTENT = {"row-edges", "row-tint", "spread", "step-x", "step-y", "edges"}
_FACTORS = {"row-edges-over-all", "row-tint-over-all", "row-step-over-all", "seam", "roughness", "grain"}


def describe(feature: Feature, layout: Layout) -> str:
    """Returns a feature in words, with the name of its channel or column."""
    if feature.channel is None:
        return WORDS[feature.kind]
    kind = "column" if layout.is_vector else "channel"
    name = repr(layout.names[feature.channel]) if layout.names else str(feature.channel)
    return f"{WORDS[feature.kind]} of {kind} {name}"


def natural(feature: Feature, layout: Layout, value: float) -> float:
    """Returns a feature in the units of its input; factors and shares stay what they are.

    Args:
        feature: what the value is about.
        layout: how the input is read.
        value: a multiple of 1 / `features.UNIT`, as a whole number.
    """
    number, extent = value / UNIT, layout.high - layout.low
    if feature.kind in _OF_RANGE:
        return layout.low + number * extent
    if feature.kind in _OF_EXTENT:
        return (math.exp2(number) - LEAST) * extent
    if feature.kind == "smallest-step":
        return (math.exp2(number) - LEAST_STEP) * extent
    if feature.kind in _FACTORS:
        return math.exp2(number)
    return _of_column(feature, layout, number)


def _of_column(feature: Feature, layout: Layout, number: float) -> float:
    if feature.kind == features.MAGNITUDE:
        return (math.exp2(number) - 1) * LEAST
    if feature.channel is None or feature.kind not in (features.LOGARITHM, features.LINEAR):
        return number
    if feature.kind == features.LOGARITHM:
        return math.copysign((math.exp2(abs(number)) - 1) * LEAST, number)
    return layout.centres[feature.channel] + math.sinh(number) * layout.scales[feature.channel]
