"""What the guard looks at, settled before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from modelkeep.contract import Contract
from modelkeep.errors import UsageError
from modelkeep.guard import layout, squeezing
from modelkeep.guard.features import features_of, joint_places
from modelkeep.guard.layout import Layout
from modelkeep.guard.measurement import output_fault, projected, rows_of
from modelkeep.guard.numbers import Array, Numbers
from modelkeep.guard.profile import EVERY_INPUT, RULES

LARGEST_JOINT = 128
MODEL_RULES = RULES["model"]


class OutputPlan(NamedTuple):
    """Which outputs are looked at; the attributes are those of `OutputProfile`."""

    scores: str
    kind: str
    embedding: str | None
    scale: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is looked at.

    Attributes:
        inputs: layouts of the inputs that the signal stage looks at.
        outputs: what the model-aware stage looks at, as yet without means, or None.
        model_rules: rules of that stage.
        squeezers: names of the squeezers whose effect is looked at; see `squeezing.SQUEEZERS`.
    """

    inputs: tuple[Layout, ...]
    outputs: OutputPlan | None
    model_rules: tuple[str, ...] = ()
    squeezers: tuple[str, ...] = ()

    @staticmethod
    def make(
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        *,
        contract: Contract | None = None,
        layouts: Mapping[str, str] | None = None,
        names: Mapping[str, Sequence[str]] | None = None,
        early: Sequence[Mapping[str, Array]] = (),
        embedding: str | None = None,
        model_rules: Collection[str] | None = None,
        squeezers: Collection[str] = (),
    ) -> Plan:
        """Returns a plan from the first sample and what the model makes of it.

        Args:
            inputs: arrays by input name.
            outputs: arrays by output name; empty where the model cannot be run.
            contract: what the model says about its inputs.
            layouts: axes by input name, where they cannot be guessed; `layout.LEFT_OUT` for inputs that are
                not looked at.
            names: what people call the channels or columns, by input name.
            early: the inputs of the first calls, for the linear scales of vectors; none for these alone.
            embedding: output that exposes what the last layer sees.
            model_rules: rules of the stage ``model``, or None for the usual ones.
            squeezers: names of squeezers, for the stage ``squeeze``.

        Raises:
            UsageError: no input can be read or squeezed, or an output that a rule needs is not there.
        """
        layouts, names = dict(layouts or {}), dict(names or {})
        known = {} if contract is None else contract.by_name()
        if unknown := sorted((layouts.keys() | names.keys()) - inputs.keys()):
            raise UsageError(f"no input {unknown[0]!r}", hint=f"inputs: {', '.join(inputs)}")
        seen = {name: value for name, value in inputs.items() if layouts.get(name) != layout.LEFT_OUT}
        numeric = {name: value for name, value in seen.items() if value.dtype.kind in "biuf"}
        if not numeric:
            raise UsageError("the samples hold no arrays of numbers to look at")
        planned = tuple(
            layout.plan(
                name,
                value,
                known.get(name),
                layouts.get(name),
                names.get(name, ()),
                [each.get(name) for each in early],
            )
            for name, value in numeric.items()
        )
        looked_at = _plan_outputs(outputs, embedding)
        return Plan(
            planned,
            looked_at,
            _plan_rules(looked_at, model_rules),
            _plan_squeezers(planned, looked_at, squeezers),
        )

    def stages(self) -> dict[str, list[tuple[str, str]]]:
        """Returns the rules of every stage, as pairs of rule and input or output."""
        signal = [("surprise", EVERY_INPUT)]
        if self.outputs is None:
            return {"signal": signal}
        scores, embedding = self.outputs.scores, self.outputs.embedding or ""
        model = [(rule, embedding if rule == "distance" else scores) for rule in self.model_rules]
        squeeze = [(squeezer, scores) for squeezer in self.squeezers]
        stages = {"signal": signal, "model": model, "squeeze": squeeze}
        return {name: rules for name, rules in stages.items() if rules}


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


def has_joint(layout: Layout) -> bool:
    """Returns whether the features of an input are few enough to be looked at together."""
    return len(features_of(layout)[joint_places(layout)]) <= LARGEST_JOINT


def _plan_rules(outputs: OutputPlan | None, wanted: Collection[str] | None) -> tuple[str, ...]:
    if outputs is None:
        if wanted:
            raise UsageError("rules of the model stage look at scores of classes, and the model gives none")
        return ()
    if wanted is None:
        return ("margin",) if outputs.embedding is None else ("margin", "distance")
    if unknown := sorted(set(wanted) - set(MODEL_RULES)):
        raise UsageError(
            f"no rule {unknown[0]!r}", hint=f"rules of the model stage: {', '.join(MODEL_RULES)}"
        )
    if ("distance" in wanted) != (outputs.embedding is not None):
        raise UsageError("the rule distance and an embedding go together", hint="say both, or neither")
    if "energy" in wanted and outputs.kind != "logits":
        raise UsageError("the rule energy needs logits, and the model gives probabilities")
    return tuple(rule for rule in MODEL_RULES if rule in wanted)


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
