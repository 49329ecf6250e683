"""Clean samples, measured for learning and let go of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from modelkeep.errors import UsageError
from modelkeep.guard.features import Features
from modelkeep.guard.measurement import OutputMeasurement, measure_input, measure_outputs, output_fault
from modelkeep.guard.plan import Plan

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Clean samples, measured and let go of.

    Attributes:
        inputs: features [samples, features] by input name.
        outputs: what the model made of them, or None.
    """

    inputs: Mapping[str, Features]
    outputs: OutputMeasurement | None


def measure(plan: Plan, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Measurement:
    """Returns what both phases need to know about some clean samples.

    Args:
        plan: what to look at.
        inputs: arrays by input name.
        outputs: what the model made of them; not used when the plan has no model-aware stage.

    Raises:
        UsageError: the samples do not have the form of the plan.
    """
    for layout in plan.inputs:
        fault = layout.fault(inputs.get(layout.name))
        if fault is not None:
            raise UsageError(f"a sample of input {layout.name!r} is {fault}")
    found = {layout.name: measure_input(inputs[layout.name], layout) for layout in plan.inputs}
    if plan.outputs is None:
        return Measurement(found, None)
    scores, _, embedding, _ = plan.outputs
    for name in (scores, *([] if embedding is None else [embedding])):
        fault = output_fault(outputs, name)
        if fault is not None:
            raise UsageError(f"output {name!r} of a sample is {fault}")
    return Measurement(found, measure_outputs(outputs, *plan.outputs))
