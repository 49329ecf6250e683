"""Clean samples, measured for learning and let go of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelkeep.errors import UsageError
from modelkeep.guard.features import Features
from modelkeep.guard.measurement import (
    OutputMeasurement,
    measure_input,
    measure_outputs,
    measure_squeezed,
    output_fault,
)
from modelkeep.guard.numbers import Array, Numbers
from modelkeep.guard.plan import Plan
from modelkeep.guard.squeezing import Run, squeezed


@dataclass(frozen=True, slots=True)
class Measurement:
    """Clean samples, measured and let go of.

    Attributes:
        inputs: features [samples, features] by input name.
        outputs: what the model made of them, or None.
        squeezed: by squeezer, how much less sure the model is of each sample.
    """

    inputs: Mapping[str, Features]
    outputs: OutputMeasurement | None
    squeezed: Mapping[str, Numbers] = field(default_factory=dict)


def measure(
    plan: Plan, inputs: Mapping[str, Array], outputs: Mapping[str, Array], run: Run | None = None
) -> Measurement:
    """Returns what both phases need to know about some clean samples.

    Args:
        plan: what to look at.
        inputs: arrays by input name.
        outputs: what the model made of them; not used when the plan has no model-aware stage.
        run: the model, for plans with squeezers.

    Raises:
        UsageError: the samples do not have the form of the plan.
    """
    for layout in plan.inputs:
        fault = layout.fault(inputs.get(layout.name))
        if fault is not None:
            raise UsageError(
                f"a sample of input {layout.name!r} is {fault}, unlike the first one",
                hint=f"say --layout {layout.name}=AXES; an axis whose length varies is T",
            )
    found = {layout.name: measure_input(inputs[layout.name], layout) for layout in plan.inputs}
    if plan.outputs is None:
        return Measurement(found, None)
    scores, _, embedding, _ = plan.outputs
    for name in (scores, *([] if embedding is None else [embedding])):
        fault = output_fault(outputs, name)
        if fault is not None:
            raise UsageError(f"output {name!r} of a sample is {fault}")
    measured = measure_outputs(outputs, *plan.outputs)
    return Measurement(found, measured, _measure_squeezed(plan, inputs, outputs, run))


def _measure_squeezed(
    plan: Plan, inputs: Mapping[str, Array], outputs: Mapping[str, Array], run: Run | None
) -> Mapping[str, Numbers]:
    if not plan.squeezers:
        return {}
    if plan.outputs is None or run is None:
        raise ValueError("squeezing needs the model and its scores")
    scores, kind = plan.outputs.scores, plan.outputs.kind
    return {
        squeezer: measure_squeezed(outputs, run(squeezed(inputs, plan.inputs, squeezer)), scores, kind)
        for squeezer in plan.squeezers
    }
