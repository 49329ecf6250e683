"""Guard profiles as canonical JSON. Source: spec/guard-v1.md, "Encoding"."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from modelkeep import canonical
from modelkeep.errors import MalformedError, UnsupportedVersionError, UsageError
from modelkeep.guard.bound import check_rates
from modelkeep.guard.features import features_of, joint_places
from modelkeep.guard.layout import LAYOUTS, MOST_CHANNELS, Layout
from modelkeep.guard.numbers import Numbers
from modelkeep.guard.packing import number, numbers, pack
from modelkeep.guard.profile import (
    ACTIONS,
    EVERY_INPUT,
    FORMAT,
    LARGEST_PROFILE,
    LEVELS,
    RULES,
    SCORE_KINDS,
    STAGES,
    VERSION,
    GuardProfile,
    InputProfile,
    Joint,
    OutputProfile,
    Stage,
)
from modelkeep.guard.sequence import BINS, SequenceProfile
from modelkeep.guard.summary import SUITE
from modelkeep.guard.tails import SHARES, Tails
from modelkeep.record import Record
from modelkeep.storage import read_small

_MOST_INPUTS = 1024
_MOST_THRESHOLDS = 4096
_LARGEST_JOINT = 4096
_LONGEST_NAME = 200
_MOST_LEVELS = 64
_WHAT = "guard profile"


def to_json(profile: GuardProfile) -> dict[str, Any]:
    """Returns the profile as a JSON value."""
    value: dict[str, Any] = {
        "alpha": profile.alpha.hex(),
        "calibrated": profile.calibrated,
        "delta": profile.delta.hex(),
        "fitted": profile.fitted,
        "format": FORMAT,
        "inputs": [_input_to_json(each) for each in profile.inputs],
        "model": profile.model.hex(),
        "sequence": _sequence_to_json(profile.sequence),
        "stages": [_stage_to_json(stage) for stage in profile.stages],
        "suite": SUITE,
        "version": VERSION,
    }
    if profile.outer is not None:
        value["outer"] = profile.outer.hex()
    if profile.outputs is not None:
        value["outputs"] = _outputs_to_json(profile.outputs)
    return value


def from_json(value: object) -> GuardProfile:
    """Reads a profile from a parsed JSON value.

    Raises:
        MalformedError: not a profile.
        UnsupportedVersionError: made by a newer modelkeep.
    """
    with Record(value, _WHAT) as record:
        _check_version(record)
        inputs = tuple(_input(item) for item in record.items("inputs", longest=_MOST_INPUTS))
        profile = GuardProfile(
            model=record.hexadecimal("model", 32),
            fitted=record.integer("fitted"),
            calibrated=record.integer("calibrated"),
            alpha=number(record, "alpha"),
            delta=number(record, "delta"),
            inputs=inputs,
            outer=number(record, "outer") if "outer" in record else None,
            outputs=_outputs(record.object("outputs")) if "outputs" in record else None,
            sequence=_sequence(record.object("sequence"), inputs),
            stages=tuple(_stage(item) for item in record.items("stages", longest=len(STAGES))),
        )
    _check_whole(profile)
    return profile


def read_profile(path: str | os.PathLike[str]) -> GuardProfile:
    """Reads a profile from a file; see `GuardProfile.load`."""
    return parse_profile(read_small(path, LARGEST_PROFILE, "a guard profile").removesuffix(b"\n"))


def parse_profile(data: bytes) -> GuardProfile:
    """Reads a profile from its canonical encoding; see `from_json`."""
    return from_json(canonical.decode(data, _WHAT))


def _check_version(record: Record) -> None:
    if record.text("format") != FORMAT:
        raise MalformedError(f"{_WHAT}: wrong format")
    version, suite = record.integer("version"), record.integer("suite")
    if (version, suite) != (VERSION, SUITE):
        is_older = (version, suite) < (VERSION, SUITE)
        raise UnsupportedVersionError(
            f"{_WHAT}: version {version} with suite {suite} is not supported",
            hint="learn the profile again" if is_older else "update modelkeep",
        )


def _check_whole(profile: GuardProfile) -> None:
    inputs = {each.layout.name for each in profile.inputs}
    outputs = profile.outputs
    looked_at = () if outputs is None else (outputs.scores, outputs.embedding)
    made = {name for name in looked_at if name is not None}
    known = {"signal": {EVERY_INPUT}, "model": made, "squeeze": made}
    if len(inputs) != len(profile.inputs) or not inputs:
        raise MalformedError(f"{_WHAT}: names no input, or one twice")
    if len({stage.name for stage in profile.stages}) != len(profile.stages) or not profile.stages:
        raise MalformedError(f"{_WHAT}: names no stage, or one twice")
    _check_bound(profile)
    for stage in profile.stages:
        if not all(subject in known[stage.name] for _, subject in stage.thresholds):
            raise MalformedError(f"{_WHAT}: a threshold is for something that is not described")
    _check_rules(profile)


def _check_bound(profile: GuardProfile) -> None:
    try:
        check_rates(profile.alpha, profile.delta)
    except UsageError as error:
        raise MalformedError(f"{_WHAT}: {error}") from None


def _check_rules(profile: GuardProfile) -> None:
    """Refuses thresholds that no rule of this profile could be held against."""
    rules = {rule for stage in profile.stages for rule in stage.thresholds}
    outputs = profile.outputs
    for rule, subject in rules:
        if rule == "energy" and outputs is not None and outputs.kind != "logits":
            raise MalformedError(f"{_WHAT}: an energy threshold for outputs that are not logits")
        expected = None if outputs is None else outputs.embedding if rule == "distance" else outputs.scores
        if rule not in RULES["signal"] and subject != expected:
            raise MalformedError(f"{_WHAT}: a {rule} threshold for another output")


def _input_to_json(profile: InputProfile) -> dict[str, Any]:
    layout = profile.layout
    value = {
        "axes": layout.axes,
        "channels": layout.channels,
        "high": layout.high.hex(),
        "low": layout.low.hex(),
        "name": layout.name,
        "quantiles": pack(profile.tails.quantiles),
        "tails": pack(profile.tails.tails),
    }
    if layout.names:
        value["names"] = list(layout.names)
    if layout.is_vector:
        value["centres"] = pack(np.array(layout.centres))
        value["scales"] = pack(np.array(layout.scales))
    if profile.joint is not None:
        value["mean"] = pack(profile.joint.mean)
        value["whitening"] = pack(_lower(profile.joint.whitening))
    return value


def _input(item: object) -> InputProfile:
    with Record(item, f"{_WHAT}: input") as record:
        layout = _layout(record)
        joint = None
        if "mean" in record:
            size = len(features_of(layout)[joint_places(layout)])
            joint = Joint(numbers(record, "mean", size), _triangle(record, size))
        tails = _tails(record, len(features_of(layout)) + (joint is not None))
    return InputProfile(layout, tails, joint)


def _layout(record: Record) -> Layout:
    axes = record.choice("axes", {axes: axes for axes in LAYOUTS})
    channels = record.integer("channels", lowest=1, highest=MOST_CHANNELS)
    layout = Layout(
        name=record.text("name"),
        axes=axes,
        channels=channels,
        low=number(record, "low"),
        high=number(record, "high"),
        names=_names(record, channels) if "names" in record else (),
    )
    if not layout.low < layout.high:
        raise record.fault("low", "must be below the high end")
    if not layout.is_vector:
        return layout
    centres, scales = (numbers(record, name, channels) for name in ("centres", "scales"))
    if not (scales > 0).all():
        raise record.fault("scales", "must be positive")
    return replace(layout, centres=tuple(centres.tolist()), scales=tuple(scales.tolist()))


def _names(record: Record, channels: int) -> tuple[str, ...]:
    names = record.items("names", longest=MOST_CHANNELS)
    if len(names) != channels or len(set(map(str, names))) != channels:
        raise record.fault("names", "must be one for each channel, all different")
    if not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in names):
        raise record.fault("names", "must be short texts")
    return tuple(map(str, names))


def _tails(record: Record, size: int) -> Tails:
    quantiles = numbers(record, "quantiles", len(SHARES) * size).reshape(size, len(SHARES))
    if not np.all(quantiles[:, :-1] <= quantiles[:, 1:]):
        raise record.fault("quantiles", "must ascend")
    tails = numbers(record, "tails", 8 * size).reshape(size, 2, 4)
    if not np.all(tails >= 0):
        raise record.fault("tails", "must not be negative")
    return Tails(quantiles, tails)


def _outputs_to_json(outputs: OutputProfile) -> dict[str, Any]:
    value: dict[str, Any] = {"kind": outputs.kind, "scores": outputs.scores}
    if outputs.embedding is not None:
        value["embedding"] = outputs.embedding
        value["classes"], value["size"] = outputs.means.shape
        value["means"] = pack(outputs.means)
        value["scale"] = outputs.scale.hex()
        value["whitening"] = pack(_lower(outputs.whitening))
    return value


def _outputs(record: Record) -> OutputProfile:
    with record:
        scores = record.text("scores")
        kind = record.choice("kind", {kind: kind for kind in SCORE_KINDS})
        if "embedding" not in record:
            return OutputProfile(scores, kind, None, 1.0, np.empty((0, 0)), np.empty((0, 0)))
        classes = record.integer("classes", lowest=1, highest=MOST_CHANNELS)
        size = record.integer("size", lowest=1, highest=_LARGEST_JOINT)
        means = numbers(record, "means", classes * size).reshape(classes, size)
        scale = number(record, "scale")
        if scale <= 0:
            raise record.fault("scale", "must be positive")
        return OutputProfile(scores, kind, record.text("embedding"), scale, means, _triangle(record, size))


def _sequence_to_json(sequence: SequenceProfile) -> dict[str, Any]:
    return {
        "bins": [pack(each) for each in sequence.bins],
        "chances": pack(sequence.chances),
        "count": len(sequence.levels),
        "counts": [pack(each.astype(np.float64)) for each in sequence.counts],
        "levels": pack(sequence.levels),
    }


def _sequence(record: Record, inputs: Sequence[InputProfile]) -> SequenceProfile:
    with record:
        count = record.integer("count", lowest=1, highest=_MOST_LEVELS)
        levels, chances = (numbers(record, name, count) for name in ("levels", "chances"))
        bins, counts = (_by_input(record, name, inputs) for name in ("bins", "counts"))
        if not all(_are_counts(each) for each in counts):
            raise record.fault("counts", "must be whole numbers, some of every feature")
        if not (np.diff(levels) <= 0).all() or not all(_are_chances(each) for each in (chances, *bins)):
            raise record.fault("levels", "must descend, and chances lie above 0 and at most at 1")
    return SequenceProfile(levels, chances, bins, tuple(each.astype(np.int64) for each in counts))


def _by_input(record: Record, name: str, inputs: Sequence[InputProfile]) -> tuple[Numbers, ...]:
    texts = record.items(name, longest=_MOST_INPUTS)
    if len(texts) != len(inputs):
        raise record.fault(name, "must be one for each input")
    with Record({str(place): text for place, text in enumerate(texts)}, f"{_WHAT}: {name}") as parts:
        return tuple(
            numbers(parts, str(place), BINS * len(usual.tails.quantiles)).reshape(-1, BINS)
            for place, usual in enumerate(inputs)
        )


def _are_counts(values: Numbers) -> bool:
    is_whole = ((values >= 0) & (values < 2**53) & (values == np.floor(values))).all()
    return bool(is_whole and (values.sum(axis=1) > 0).all())


def _are_chances(values: Numbers) -> bool:
    return bool(((values > 0) & (values <= 1)).all())


def _stage_to_json(stage: Stage) -> dict[str, Any]:
    thresholds = [
        {
            "levels": pack(np.array(stage.levels[rule, subject])),
            "of": subject,
            "rule": rule,
            "threshold": threshold.hex(),
        }
        for (rule, subject), threshold in sorted(stage.thresholds.items())
    ]
    return {"action": stage.action, "name": stage.name, "thresholds": thresholds}


def _stage(item: object) -> Stage:
    with Record(item, f"{_WHAT}: stage") as record:
        name = record.choice("name", {name: name for name in STAGES})
        action = record.choice("action", {action: action for action in ACTIONS})
        items = record.items("thresholds", longest=_MOST_THRESHOLDS)
        found = [_threshold(entry, name) for entry in items]
        thresholds = {rule: threshold for rule, threshold, _ in found}
        if len(thresholds) != len(items):
            raise record.fault("thresholds", "names a rule twice")
    return Stage(name, action, thresholds, {rule: levels for rule, _, levels in found})


def _threshold(item: object, stage: str) -> tuple[tuple[str, str], float, tuple[float, ...]]:
    with Record(item, f"{_WHAT}: threshold") as record:
        rule = record.choice("rule", {rule: rule for rule in RULES[stage]})
        levels = numbers(record, "levels", len(LEVELS))
        if not (np.diff(levels) >= 0).all():
            raise record.fault("levels", "must ascend")
        return (rule, record.text("of")), number(record, "threshold"), tuple(levels.tolist())


def _lower(matrix: Numbers) -> Numbers:
    return np.asarray(matrix[np.tril_indices(len(matrix))], np.float64)


def _triangle(record: Record, size: int) -> Numbers:
    matrix = np.zeros((size, size))
    matrix[np.tril_indices(size)] = numbers(record, "whitening", size * (size + 1) // 2)
    return matrix
