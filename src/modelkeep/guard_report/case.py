"""A clean sample of the report, with its labels where they are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.contract import Contract
from modelkeep.errors import UsageError
from modelkeep.guard import ContractCheck, GuardProfile
from modelkeep.guard_report.subject import Answer, Classes, Sample, Subject
from modelkeep.learning import broken_contract


class Case:
    """A clean sample.

    Attributes:
        sample: inputs of one call.
        labels: true class of each sample of the call, or None.
    """

    def __init__(self, subject: Subject, sample: Sample, labels: Classes | None) -> None:
        self._subject, self.sample, self.labels = subject, sample, labels

    @cached_property
    def answer(self) -> Answer:
        """What model and guard make of it as it is.

        Raises:
            UsageError: the runtime refuses it, or the labels are not one for each prediction.
        """
        answer = self._subject.ask(self.sample)
        if answer.failure is not None:
            raise answer.failure
        if self.labels is not None and (answer.classes is None or len(answer.classes) != len(self.labels)):
            raise UsageError("labels that are not one for each prediction of the model")
        return answer

    @property
    def truth(self) -> Classes:
        """What the model should say: the labels, or without them what it says of the clean sample.

        Raises:
            UsageError: there are no labels, and the model gives no scores of classes.
        """
        truth = self.answer.classes if self.labels is None else self.labels
        if truth is None:
            raise UsageError("the model gives no scores of classes")
        return truth

    @property
    def is_right(self) -> bool:
        """Whether the model says what it should of the clean sample."""
        predicted = self.answer.classes
        return predicted is not None and (self.labels is None or np.array_equal(self.labels, predicted))

    def right(self, answer: Answer) -> int:
        """Returns how many of the predictions of an answer are the labels."""
        if self.labels is None or answer.classes is None or answer.classes.shape != self.labels.shape:
            return 0
        return int((answer.classes == self.labels).sum())

    def differs(self, answer: Answer) -> bool:
        """Returns whether an answer has other predictions than the clean sample, or none at all."""
        if answer.classes is None or self.answer.classes is None:
            return True
        return not np.array_equal(answer.classes, self.answer.classes)


def check_samples(samples: Sequence[Sample], profile: GuardProfile, contract: Contract | None) -> None:
    """Makes sure that model and profile can take the samples.

    Raises:
        UsageError: they cannot, or there are none.
    """
    if not samples:
        raise UsageError("no samples to report on", hint="pass clean inputs that were not learned from")
    contract_check = None if contract is None else ContractCheck(contract)
    for place, sample in enumerate(samples, start=1):
        if contract_check is not None and (findings := contract_check.findings(sample)):
            raise broken_contract(place, findings[0])
        for usual in profile.inputs:
            if fault := usual.layout.fault(sample.get(usual.layout.name)):
                raise UsageError(f"input {usual.layout.name!r} of a sample: {fault}")


def make_cases(
    subject: Subject, samples: Sequence[Sample], labels: Sequence[NDArray[Any]] | None
) -> list[Case]:
    """Returns the cases for samples and their labels.

    Raises:
        UsageError: labels that do not fit the samples or the model.
    """
    if labels is None:
        return [Case(subject, sample, None) for sample in samples]
    if len(labels) != len(samples):
        raise UsageError(f"labels for {len(labels)} samples, but there are {len(samples)}")
    first = Case(subject, samples[0], None).answer
    if first.logits is None:
        raise UsageError(
            "labels need a model that gives scores of classes, and a profile that knows them",
            hint="leave the labels away",
        )
    count = first.logits.shape[1]
    return [
        Case(subject, sample, _checked(subject, place, sample, labels[place], count))
        for place, sample in enumerate(samples)
    ]


def _checked(subject: Subject, place: int, sample: Sample, labels: NDArray[Any], count: int) -> Classes:
    layout = subject.layout
    batch = layout.axes.find("N")
    rows = 1 if batch < 0 else sample[layout.name].shape[batch]
    which = f"labels of sample {place + 1}"
    if labels.dtype.kind not in "iu":
        raise UsageError(f"{which} are {labels.dtype.name}, not whole numbers", hint="one class for each")
    if labels.ndim == 0:
        labels = labels.reshape(1)
    if labels.shape != (rows,):
        raise UsageError(f"{which} have the shape {labels.shape}, not ({rows},)", hint="one class for each")
    if labels.min() < 0 or labels.max() >= count:
        raise UsageError(f"{which} are not all among the classes of the model, 0 to {count - 1}")
    return labels.astype(np.int64)
