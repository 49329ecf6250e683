"""A small model with a profile, clean samples with labels, and reports on them, for tests of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard import GuardProfile
from modelkeep.guard_report import Settings
from modelkeep.guard_report.subject import Sample
from support.classifier import classifier
from support.learned import learned
from support.pictures import pictures

SMALL = Settings(faulty=6, attacked=3, tries=12)


def held_out(count: int = 30) -> list[Sample]:
    """Returns pictures that the profile was not learned from."""
    return [{"x": picture} for picture in pictures(count, seed=77)]


def reported() -> GuardProfile:
    """Returns a profile of the model of `classifier`, at 10 % for each stage."""
    return learned(embedding="h")


def predictions(folder: Path, samples: list[Sample]) -> list[NDArray[np.int64]]:
    """Returns what the model of `classifier` says of each sample."""
    import onnxruntime

    model = onnxruntime.InferenceSession(str(classifier(folder / "predicting.onnx")))
    return [np.asarray(model.run(["logits"], dict(sample))[0]).argmax(axis=1) for sample in samples]


def without_time(result: dict[str, Any]) -> dict[str, Any]:
    """Returns a report without what differs from run to run, and from a plain model to a sealed one."""
    return {
        name: _without_callers(value)
        for name, value in result.items()
        if name not in {"latency", "source", "callers", "size", "date"}
    }


def _without_callers(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_callers(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_callers(each) for name, each in value.items() if name != "callers"}
    return value
