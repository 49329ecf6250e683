"""What the guard looks at, settled before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelkeep.contract import Contract
from modelkeep.errors import UsageError
from modelkeep.guard import layout, squeezing
from modelkeep.guard.layout import Layout
from modelkeep.guard.measurement import Numbers, output_fault, projected, rows_of

Array = NDArray[Any]


class OutputPlan(NamedTuple):
    """Which outputs are looked at; the attributes are those of `OutputProfile`."""

    scores: str
    kind: str
    embedding: str | None
    scale: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is looked at; equal plans can be merged.

    Attributes:
        inputs: layouts of the inputs that the signal stage looks at.
        outputs: what the model-aware stage looks at, as yet without means, or None.
        squeezers: names of the squeezers whose effect is looked at; see `squeezing.SQUEEZERS`.
    """

    inputs: tuple[Layout, ...]
    outputs: OutputPlan | None
    squeezers: tuple[str, ...] = ()

    @staticmethod
    def make(
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        *,
        contract: Contract | None = None,
        layouts: Mapping[str, str] | None = None,
        embedding: str | None = None,
        squeezers: Collection[str] = (),
    ) -> Plan:
        """Returns a plan from the first sample and what the model makes of it.

        Args:
            inputs: arrays by input name.
            outputs: arrays by output name; empty where the model cannot be run.
            contract: what the model says about its inputs.
            layouts: axes by input name, where they cannot be guessed.
            embedding: output that exposes what the last layer sees.
            squeezers: names of squeezers, for the stage ``squeeze``.

        Raises:
            UsageError: no input can be read or squeezed, or an output is not there.
        """
        layouts = dict(layouts or {})
        known = {} if contract is None else contract.by_name()
        if unknown := sorted(layouts.keys() - inputs.keys()):
            raise UsageError(f"no input {unknown[0]!r}", hint=f"inputs: {', '.join(inputs)}")
        numeric = {name: value for name, value in inputs.items() if value.dtype.kind in "biuf"}
        if not numeric:
            raise UsageError("the samples hold no arrays of numbers")
        planned = tuple(
            layout.plan(name, value, known.get(name), layouts.get(name)) for name, value in numeric.items()
        )
        looked_at = _plan_outputs(outputs, embedding)
        return Plan(planned, looked_at, _plan_squeezers(planned, looked_at, squeezers))

    def check_same(self, other: Plan) -> None:
        """Checks that two plans are equal, so that what was measured by them can be merged.

        Raises:
            UsageError: they differ.
        """
        if self != other:
            raise UsageError("only parts of one and the same run can be merged")


def _plan_outputs(outputs: Mapping[str, Array], embedding: str | None) -> OutputPlan | None:
    if embedding is not None and output_fault(outputs, embedding):
        raise UsageError(f"output {embedding!r} is no embedding", hint=f"outputs: {', '.join(outputs)}")
    candidates = [name for name, value in outputs.items() if name != embedding and _are_scores(value)]
    if not candidates:
        return None
    rows = rows_of(outputs[candidates[0]])
    is_distribution = bool((rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=1e-3))
    kind = "probabilities" if is_distribution else "logits"
    scale = 1.0 if embedding is None else _scale_of(projected(rows_of(outputs[embedding])))
    return OutputPlan(candidates[0], kind, embedding, scale)


def _plan_squeezers(
    inputs: tuple[Layout, ...], outputs: OutputPlan | None, squeezers: Collection[str]
) -> tuple[str, ...]:
    if unknown := sorted(set(squeezers) - squeezing.SQUEEZERS.keys()):
        raise UsageError(f"no squeezer {unknown[0]!r}", hint=f"squeezers: {', '.join(squeezing.SQUEEZERS)}")
    if squeezers and outputs is None:
        raise UsageError("squeezing compares scores of classes, and the model gives none")
    if squeezers and not any(squeezing.can_squeeze(each) for each in inputs):
        raise UsageError("only images and series can be squeezed", hint="say --layout NAME=AXES if it is one")
    return tuple(sorted(set(squeezers)))


def _are_scores(value: object) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind == "f"
        and value.ndim == 2
        and value.shape[1] > 1
        and value.size > 0
    )


def _scale_of(rows: Numbers) -> float:
    # Room for others to be eight times as large as the first.
    largest = float(np.abs(np.nan_to_num(rows, posinf=0, neginf=0)).max())
    return 2.0 ** (math.ceil(math.log2(max(largest, 2.0**-100))) + 3)
