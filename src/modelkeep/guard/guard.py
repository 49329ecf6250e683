"""The guard: holds inputs and outputs against a profile."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard import rules
from modelkeep.guard.causes import Cause
from modelkeep.guard.counters import Counters
from modelkeep.guard.findings import GuardFinding
from modelkeep.guard.measurement import measure_outputs, measure_squeezed, output_fault
from modelkeep.guard.profile import EVERY_INPUT, GuardProfile, OutputProfile, Stage
from modelkeep.guard.reader import Reader, plain
from modelkeep.guard.signal import Signal
from modelkeep.guard.site import at_site
from modelkeep.guard.squeezing import Run, squeezed
from modelkeep.guard.statistics import warn_if_slow
from modelkeep.guard.stream import StreamGuard
from modelkeep.guard.telemetry import Telemetry

_LOG = logging.getLogger("modelkeep.guard")

_MOST_SAMPLES = 16
_NAMED = 3
_ENDLESS = np.array([math.inf])
_DETAILS = {
    "margin": "two classes are nearly as likely",
    "confidence": "the model is not sure",
    "energy": "low scores for every class",
    "distance": "far from what was seen of the class",
}


class Score(NamedTuple):
    """What one rule makes of a call.

    Attributes:
        rule: stable code.
        subject: input or output.
        scores: [samples].
        detail: what would be wrong, in words; empty where `causes` say it.
        causes: returns why a sample is above a threshold.
    """

    rule: str
    subject: str
    scores: NDArray[Any]
    detail: str
    causes: Callable[[int, float], tuple[Cause, ...]] | None = None


class Guard:
    """Checks what goes into a model and what comes out of it against a profile.

    Every alarm goes to the logger `modelkeep.guard`, with its scores. No object that is handed to
    a check makes it raise; what cannot be read is an alarm of rule ``form``.

    Attributes:
        profile: what is usual.
        counters: what happened since the start; `telemetry` is the same as a document.
        stream: watches the inputs in their order, or None; set it where all of them come from one place.
    """

    def __init__(self, profile: GuardProfile, site: GuardProfile | None = None) -> None:
        """Makes a guard.

        Args:
            profile: what the publisher calls usual.
            site: what is usual at this site, within the publisher's outer bound; see `adapt`.

        Raises:
            UsageError: the site's profile was not adapted from this one.
        """
        self.profile = profile if site is None else at_site(profile, site)
        self._reader = Reader(self.profile.inputs, None if site is None else profile)
        warn_if_slow(each.layout for each in profile.inputs)
        self.stream: StreamGuard | None = None
        self.counters = Counters(self.profile)
        self._earlier: Telemetry | None = None
        self._stages = {stage.name: stage for stage in profile.stages if stage.action != "off"}

    def check(
        self,
        inputs: Mapping[str, object],
        outputs: Mapping[str, object] | None = None,
        run: Run | None = None,
    ) -> tuple[GuardFinding, ...]:
        """Returns all alarms about inputs, and about what the model made of them where that is known.

        Args:
            inputs: arrays by input name.
            outputs: arrays by output name, or None to check the inputs alone.
            run: the model, or None to leave out the stage that runs it again.
        """
        found = self.check_inputs(inputs)
        if outputs is None:
            return found
        found += self.check_outputs(outputs)
        return found if run is None else found + self.check_squeezed(inputs, outputs, run)

    def check_inputs(self, inputs: Mapping[str, object]) -> tuple[GuardFinding, ...]:
        """Returns the alarms of the signal stage, and those of `stream`."""
        stage = self._stages.get("signal")
        if stage is None and self.stream is None:
            return ()
        signal = self._reader.read(plain(inputs))
        self.counters.look(signal)
        found = () if stage is None else self._judge(stage, _of_signal(signal))
        return found if self.stream is None else found + self.stream.watch(signal)

    def check_outputs(self, outputs: Mapping[str, object]) -> tuple[GuardFinding, ...]:
        """Returns the alarms of the model-aware stage."""
        stage, known = self._stages.get("model"), self.profile.outputs
        if stage is None or known is None:
            return ()
        return self._judge(stage, _of_outputs(stage, known, plain(outputs)))

    def check_squeezed(
        self, inputs: Mapping[str, object], outputs: Mapping[str, object], run: Run
    ) -> tuple[GuardFinding, ...]:
        """Returns the alarms of the squeezing stage; without it, the model is not run.

        Args:
            inputs: arrays by input name.
            outputs: what the model made of them.
            run: the model, which is run once for each squeezer; what it raises is passed on.
        """
        stage = self._stages.get("squeeze")
        if stage is None:
            return ()
        return self._judge(stage, self._squeezed(stage, plain(inputs), plain(outputs), run))

    def telemetry(self, *, restart: bool = False) -> Telemetry:
        """Returns what happened so far, with what was taken up by `resume`.

        Args:
            restart: begin anew, so that the next document is about the time from now on.
        """
        counters = [self.counters, *([] if self.stream is None else [self.stream.counters])]
        now = Telemetry.of(self.profile, *(each.counted() for each in counters))
        found = now if self._earlier is None else Telemetry.merged([self._earlier, now])
        if restart:
            self._earlier = None
            for each in counters:
                each.restart()
        return found

    def resume(self, earlier: Telemetry) -> None:
        """Goes on with what was counted before a restart.

        Raises:
            UsageError: it was counted under another profile.
        """
        self._earlier = Telemetry.merged([earlier, self.telemetry(restart=True)])

    def readings(
        self,
        inputs: Mapping[str, object],
        outputs: Mapping[str, object],
        run: Run | None = None,
    ) -> tuple[GuardFinding, ...]:
        """Returns what every rule makes of a call, alarm or not, without logging or counting it.

        For whoever publishes a model and wants to see how the guard does; scores help to get past it.

        Args:
            inputs: arrays by input name.
            outputs: arrays by output name; empty where the model was not run.
            run: the model, or None to leave out the stage that runs it again.
        """
        read: list[GuardFinding] = []
        if signal := self._stages.get("signal"):
            read += _readings(signal, _of_signal(self._reader.read(plain(inputs))))
        model = self._stages.get("model")
        if outputs and model is not None and self.profile.outputs is not None:
            read += _readings(model, _of_outputs(model, self.profile.outputs, plain(outputs)))
        squeeze = self._stages.get("squeeze")
        if outputs and squeeze is not None and run is not None:
            read += _readings(squeeze, self._squeezed(squeeze, plain(inputs), plain(outputs), run))
        return tuple(read)

    def _squeezed(
        self, stage: Stage, inputs: Mapping[str, Any], outputs: Mapping[str, Any], run: Run
    ) -> Iterator[Score]:
        known = self.profile.outputs
        if known is None:
            return
        layouts = [each.layout for each in self.profile.inputs]
        faults = ((each.name, each.fault(inputs.get(each.name))) for each in layouts)
        outputs_fault = (known.scores, output_fault(outputs, known.scores))
        for name, fault in (*faults, outputs_fault):
            if fault is not None:
                yield Score("form", name, _ENDLESS, fault)
                return
        for squeezer, subject in sorted(stage.thresholds):
            changed = measure_squeezed(
                outputs, run(squeezed(inputs, layouts, squeezer)), known.scores, known.kind
            )
            yield Score(squeezer, subject, changed, "the model is much less sure of a coarser input")

    def _judge(self, stage: Stage, scores: Iterator[Score]) -> tuple[GuardFinding, ...]:
        judged, findings = [], []
        for found in scores:
            _, score = _strangest(found)
            judged.append((*_key(stage, found), score))
            if score > _threshold(stage, found):
                findings.append(_reading(stage, found))
        for finding in findings:
            _LOG.warning("%s", finding)
        self.counters.record(stage.name, judged, findings)
        return tuple(findings)


def _readings(stage: Stage, scores: Iterator[Score]) -> list[GuardFinding]:
    return [_reading(stage, score) for score in scores]


def _strangest(found: Score) -> tuple[int, float]:
    """Returns which sample has the highest score, and that; NaN is the strangest of all."""
    strangest = int(found.scores.argmax())
    score = float(found.scores[strangest])
    return strangest, math.inf if math.isnan(score) else score


def _reading(stage: Stage, found: Score) -> GuardFinding:
    rule, subject = found.rule, found.subject
    threshold, (strangest, score) = _threshold(stage, found), _strangest(found)
    if not score > threshold:
        return GuardFinding(
            stage.name, rule, subject, stage.action, score, threshold, found.detail, (strangest,)
        )
    order = np.argsort(-np.nan_to_num(found.scores, nan=np.inf), kind="stable")[:_MOST_SAMPLES]
    samples = tuple(int(place) for place in order if not found.scores[place] <= threshold)
    causes = () if found.causes is None else found.causes(strangest, threshold)
    detail = found.detail or "; ".join(map(str, causes[:_NAMED]))
    return GuardFinding(stage.name, rule, subject, stage.action, score, threshold, detail, samples, causes)


def _threshold(stage: Stage, found: Score) -> float:
    return 0.0 if found.rule == "form" else stage.thresholds.get(_key(stage, found), math.inf)


def _key(stage: Stage, found: Score) -> tuple[str, str]:
    return found.rule, EVERY_INPUT if stage.name == "signal" else found.subject


def _of_signal(signal: Signal) -> Iterator[Score]:
    for name, fault in signal.faults:
        yield Score("form", name, _ENDLESS, fault)
    if signal.surprises:
        yield Score("surprise", signal.strangest, signal.scores(), "", signal.causes)


def _of_outputs(stage: Stage, known: OutputProfile, outputs: Mapping[str, Any]) -> Iterator[Score]:
    for name in (known.scores, *([] if known.embedding is None else [known.embedding])):
        fault = output_fault(outputs, name)
        if fault is not None:
            yield Score("form", name, _ENDLESS, fault)
            return
    measured = measure_outputs(outputs, known.scores, known.kind, known.embedding, known.scale)
    if measured.embedding is not None and measured.embedding.shape[1] != known.means.shape[1]:
        yield Score("form", known.scores, _ENDLESS, "embeddings of another size")
        return
    for rule, subject in sorted(stage.thresholds):
        yield Score(rule, subject, rules.score_outputs(rule, measured, known), _DETAILS[rule])
