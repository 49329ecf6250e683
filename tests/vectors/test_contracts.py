"""The vectors for input contracts: what is computed, and what is right by the specification."""

from __future__ import annotations

import importlib
import json
from typing import Any

generator: Any = importlib.import_module("vectors.contracts")
VECTORS = {each["name"]: each for each in json.loads(generator.TARGET.read_text())}


def findings(name: str) -> list[str | None]:
    return [case["finding"] for case in VECTORS[name]["cases"]]


def test_the_file_is_what_is_made() -> None:
    fresh: Any = json.loads(json.dumps(generator.made()))
    assert list(VECTORS.values()) == fresh


def test_it_says_what_the_specification_says() -> None:
    assert findings("plain") == [None, "shape", "not-finite", "dtype", "shape", "type", "type"]
    assert findings("not finite, bounded") == [None, "range", None, "range"]
    assert findings("optional") == [None, None, "not-finite"]
    assert findings("a length of 0") == [None, "shape"]
    for name in ("bound of float32", "bound of float16", "bound of bfloat16", "bound of integers"):
        assert findings(name) == [None, "range"], name
    assert findings("bound beyond float16") == [None, "not-finite"]
    assert findings("sequence") == [None, "size", "shape", "shape", "shape", "type", "type"]
    assert findings("sequence of empty arrays") == [None, None, "size"]
    assert findings("map from integers") == [None, "range", None, "type", "type", "type"]
