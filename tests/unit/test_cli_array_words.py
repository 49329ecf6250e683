"""Values of outputs, for people in a line and for machines in JSON that every reader takes."""

from __future__ import annotations

import json

import numpy as np

from modelkeep.cli.array_words import facts_of, in_a_line


def test_values_come_along_while_they_are_few() -> None:
    assert facts_of(np.array([[1, 2]], np.int64))["values"] == [[1, 2]]
    assert facts_of(np.zeros(1000, np.float32))["values"] == [0.0] * 1000
    assert facts_of(np.zeros(1001, np.float32)) == {"dtype": "float32", "shape": [1001], "values": None}


def test_json_has_a_text_for_what_it_lacks() -> None:
    values = facts_of(np.array([np.nan, -np.inf, 0.5]))["values"]
    assert json.loads(json.dumps(values, allow_nan=False)) == ["nan", "-inf", 0.5]
    assert facts_of(np.array([b"\xff", "é".encode()]))["values"] == ["\\xff", "é"]
    assert facts_of(np.array([True, False]))["values"] == [True, False]


def test_a_line_is_short_and_starts_with_what_it_is() -> None:
    assert in_a_line(np.array([[0.25, 1]], np.float32)) == "float32 (1, 2) [[0.25, 1. ]]"
    line = in_a_line(np.zeros((64, 64, 64), np.float64))
    assert line.startswith("float64 (64, 64, 64) [[[0., ")
    assert len(line) < 140
    assert len(in_a_line(np.array(["x" * 5000]))) < 140
