"""Somebody who may only send inputs: what breaks the model's contract never reaches the model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from modelkeep.errors import InputError
from support.workshop import Workshop

FINE = np.ones((1, 4), np.float32)


class Changing(Mapping[str, Any]):
    """Gives a good array to whoever asks first and bad ones afterwards."""

    def __init__(self) -> None:
        self._answers = itertools.chain([FINE], itertools.repeat(FINE * np.float32(np.nan)))

    def __getitem__(self, name: str) -> Any:
        return next(self._answers)

    def __iter__(self) -> Iterator[str]:
        return iter(["x"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"x": np.full((1, 4), np.nan, np.float32)}, "not-finite"),
        ({"x": np.full((1, 4), -np.inf, np.float32)}, "not-finite"),
        ({"x": FINE * 2}, "range"),
        ({"x": -FINE}, "range"),
        ({"x": FINE.astype(np.float64)}, "dtype"),
        ({"x": FINE.astype(object)}, "dtype"),
        ({"x": np.ones((1, 5), np.float32)}, "shape"),
        ({"x": np.ones(4, np.float32)}, "rank"),
        ({"x": np.broadcast_to(np.float32(1), (2**40, 4))}, "size"),
        ({}, "missing"),
        ({"x": FINE, "y": FINE}, "unexpected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_input_outside_the_contract_is_refused(
    workshop: Workshop, inputs: dict[str, Any], code: str
) -> None:
    bundle = workshop.seal(contract={"x": {"minimum": 0.0, "maximum": 1.0}})
    with workshop.open(bundle) as session, pytest.raises(InputError) as caught:
        session.run(inputs)
    assert code in {finding.code for finding in caught.value.findings}


def test_inputs_that_change_between_check_and_run_are_taken_once(workshop: Workshop) -> None:
    with workshop.open(workshop.seal()) as session:
        assert np.isfinite(session.run(Changing())["y"]).all()
