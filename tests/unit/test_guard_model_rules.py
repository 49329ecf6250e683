"""The rules of the model-aware stage: which there are, and how they share its false alarms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelkeep.errors import UsageError
from modelkeep.guard import Guard, GuardProfile
from modelkeep.guard.calibration import samples_needed
from modelkeep.guard.measurement import measure_outputs
from modelkeep.guard.plan import Plan
from modelkeep.guard.rules import shares
from modelkeep.guard.sample import measure
from support.guarded import MODEL, calibrated

_INPUTS = {"x": np.linspace(0, 1, 5, dtype=np.float32)[None]}
_OUTPUTS = {"y": np.array([[2, 0, -1]], np.float32), "h": np.ones((1, 4), np.float32)}
_SHARES = {"y": np.array([[0.5, 0.25, 0.25]], np.float32)}


def learned(count: int, **options: Any) -> GuardProfile:
    """Returns a profile of outputs whose two best logits are 1 to 3 apart."""
    generator = np.random.default_rng(7)
    plan = Plan.make(_INPUTS, _OUTPUTS, **options)
    samples = []
    for _ in range(count):
        leads = np.array([[generator.uniform(1, 3), 0, -9]])
        made = {"y": leads.astype(np.float32), "h": generator.normal(size=(1, 4)).astype(np.float32)}
        samples.append(measure(plan, _INPUTS, made))
    return calibrated(plan, samples).finish(MODEL, alpha=0.1, delta=0.1)


def test_the_usual_rules_are_the_margin_and_the_distance() -> None:
    assert Plan.make(_INPUTS, _OUTPUTS).model_rules == ("margin",)
    assert Plan.make(_INPUTS, _OUTPUTS, embedding="h").model_rules == ("margin", "distance")
    assert Plan.make(_INPUTS, {}).model_rules == ()


def test_other_rules_are_there_for_whoever_asks() -> None:
    every = ["energy", "distance", "margin", "confidence"]
    plan = Plan.make(_INPUTS, _OUTPUTS, embedding="h", model_rules=every)
    assert plan.stages()["model"] == [
        ("margin", "y"), ("confidence", "y"), ("energy", "y"), ("distance", "h")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("outputs", "options", "words"),
    [
        (_OUTPUTS, {"model_rules": ["luck"]}, "no rule 'luck'"),
        (_OUTPUTS, {"model_rules": ["distance"]}, "go together"),
        (_OUTPUTS, {"model_rules": ["margin"], "embedding": "h"}, "go together"),
        (_SHARES, {"model_rules": ["energy"]}, "needs logits"),
        ({}, {"model_rules": ["margin"]}, "gives none"),
    ],
)
def test_rules_without_what_they_need_are_refused(
    outputs: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        Plan.make(_INPUTS, outputs, **options)


def test_parts_of_a_rate_add_up_to_it() -> None:
    assert shares(["margin", "distance"]) == [2 / 3, 1 / 3]
    assert shares(["confidence", "energy"]) == [1 / 2, 1 / 2]
    assert sum(shares(["margin", "confidence", "energy", "distance"])) == pytest.approx(1)
    one = samples_needed(Plan.make(_INPUTS, _OUTPUTS), 0.01, 0.05)
    assert samples_needed(Plan.make(_INPUTS, _OUTPUTS, embedding="h"), 0.01, 0.05) > one


def test_margins_are_measured_of_logits_and_of_probabilities() -> None:
    logits = {"y": np.array([[1, 4, 2], [7, 7, 0]], np.float32)}
    assert measure_outputs(logits, "y", "logits", None, 1.0).margin.tolist() == [-2, 0]
    assert measure_outputs(_SHARES, "y", "probabilities", None, 1.0).margin == pytest.approx(-np.log(2))


def test_a_tie_between_two_classes_is_an_alarm() -> None:
    guard = Guard(learned(200))
    clear, tie = (np.array([[lead, 0, -9]], np.float32) for lead in (2, 0.01))
    assert guard.check_outputs({"y": clear}) == ()
    (finding,) = guard.check_outputs({"y": tie})
    assert (finding.rule, finding.subject, finding.action) == ("margin", "y", "flag")
    assert guard.check_outputs({"y": np.array([[np.nan, 0, 0]], np.float32)})


def test_only_rules_with_a_threshold_are_read() -> None:
    guard = Guard(learned(200, model_rules=["energy"]))
    assert guard.readings({}, _OUTPUTS)[-1].rule == "energy"
    guard.check_outputs(_OUTPUTS)
    assert sum(guard.counters.counted().closeness["model.energy.y"]) == 1
