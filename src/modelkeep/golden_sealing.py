"""Golden vectors on the publisher's side: held against the model, and put beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from modelkeep.errors import UsageError
from modelkeep.golden import PATH, Golden, GoldenCase, departures, notices_stuck
from modelkeep.golden_limits import GoldenNote
from modelkeep.guard import ContractCheck, Guard, GuardProfile
from modelkeep.model import Model
from modelkeep.payload.source import MemorySource


def with_golden(model: Model, golden: Golden, profile: GuardProfile | None) -> Model:
    """Returns the model with golden vectors of its first entry.

    Raises:
        UsageError: the model has nothing to run or a file of that name; a case breaks the contract, the
            guard or its own limits, so that no device could keep them.
    """
    if model.entry is None:
        raise UsageError("golden vectors are for a model that a runtime loads", hint="leave them out")
    if PATH in model.sources:
        raise UsageError(f"the model has a file {PATH}, where golden vectors go", hint="rename it")
    guard = None if profile is None else Guard(profile)
    for place, case in enumerate(golden.cases):
        problem = next(_problems(model, guard, case, golden), None)
        if problem is not None:
            raise UsageError(f"golden case {place}: {problem}", hint="record it again, with this model")
    refuses = guard is not None and all(notices_stuck(guard, case) for case in golden.cases)
    note = GoldenNote(PATH, len(golden.cases), golden.limits.checked(), refuses)
    return replace(model, golden=note, sources={**model.sources, PATH: _source(golden)})


def _source(golden: Golden) -> MemorySource:
    return MemorySource(memoryview(golden.to_bytes()))


def _problems(model: Model, guard: Guard | None, case: GoldenCase, golden: Golden) -> Iterator[str]:
    if model.contract is not None:
        yield from map(str, ContractCheck(model.contract).findings(case.inputs))
    if guard is not None:
        yield from (str(reading) for reading in guard.readings(case.inputs, {}) if reading.is_alarm)
    if case.outputs:
        yield from departures(case, case.outputs, golden.limits)
