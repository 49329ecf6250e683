"""Profiles of the model of `classifier`, each learned once in a process: values, which tests only read."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modelkeep.guard import GuardProfile
from modelkeep.learning import learn
from support.classifier import classifier
from support.pictures import pictures


@cache
def learned(count: int = 300, *, alpha: float = 0.1, **options: Any) -> GuardProfile:
    """Returns what is learned from so many pictures; `options` as of `learn`, each of them hashable."""
    samples = ({"x": picture} for picture in pictures(count, seed=40))
    with TemporaryDirectory() as folder:
        model = classifier(Path(folder) / "net.onnx")
        return learn(samples, model=model, alpha=alpha, delta=0.1, **options)
