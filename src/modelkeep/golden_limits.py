"""How far outputs may be from golden ones, as the inner manifest says it. Source: spec/golden-v1.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from modelkeep.contract_json import read_float
from modelkeep.errors import UsageError
from modelkeep.record import Record

MOST_CASES = 1024
MOST_RANGES = 1024
ABSOLUTE, RELATIVE = 1e-4, 1e-3


class OutputRange(NamedTuple):
    """Where every element of one output lies.

    Attributes:
        name: the runtime's name of the output.
        minimum: smallest value, or None.
        maximum: largest value, or None.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None


class GoldenLimits(NamedTuple):
    """How far a device may be from what the publisher saw.

    Attributes:
        absolute, relative: an element x may differ from a golden y by `absolute` + `relative` * |y|.
        latency: seconds that a case may take on the device, or None.
        ranges: where outputs must lie, golden ones or not.
    """

    absolute: float = ABSOLUTE
    relative: float = RELATIVE
    latency: float | None = None
    ranges: tuple[OutputRange, ...] = ()

    @classmethod
    def of_dict(cls, value: Mapping[str, Any]) -> Self:
        """Makes limits of what people write, see docs/updates.md.

        Raises:
            UsageError: not of that form, or numbers that nothing could keep.
        """
        try:
            ranges = tuple(OutputRange(name, **ends) for name, ends in value.get("ranges", {}).items())
            limits = cls(**{**value, "ranges": ranges})
        except (TypeError, AttributeError):
            raise UsageError(
                "not limits of golden vectors",
                hint='for example {"relative": 0.01, "latency": 0.05, "ranges": {"scores": {"minimum": 0}}}',
            ) from None
        return limits.checked()

    def checked(self) -> Self:
        """Returns itself.

        Raises:
            UsageError: a tolerance or a latency that nothing could keep, or ends the wrong way round.
        """
        latency = () if self.latency is None else (self.latency,)
        _check_finite((self.absolute, self.relative, *latency), "tolerances and latency", lowest=0.0)
        for each in self.ranges:
            ends = [end for end in (each.minimum, each.maximum) if end is not None]
            _check_finite(ends, f"the range of {each.name!r}", lowest=None)
            if not ends or ends != sorted(ends):
                raise UsageError(f"the range of {each.name!r} is empty, or has no ends")
        return self


class GoldenNote(NamedTuple):
    """What the inner manifest says of golden vectors.

    Attributes:
        path: file of the bundle that holds the cases; no part of the model.
        cases: how many there are.
        limits: how far outputs may be from them.
        guard: whether the guard refused every case with its inputs stuck at one value.
    """

    path: str
    cases: int
    limits: GoldenLimits
    guard: bool = False


def golden_to_json(note: GoldenNote) -> dict[str, Any]:
    """Returns the value of the member ``golden``."""
    limits = note.limits
    value: dict[str, Any] = {
        "absolute": float(limits.absolute).hex(),
        "cases": note.cases,
        "path": note.path,
        "relative": float(limits.relative).hex(),
    }
    if limits.latency is not None:
        value["latency"] = float(limits.latency).hex()
    if limits.ranges:
        value["ranges"] = [_range_to_json(each) for each in limits.ranges]
    return value | ({"guard": True} if note.guard else {})


def read_golden(record: Record, paths: Iterable[str]) -> GoldenNote | None:
    """Takes the member ``golden``, if it is there; `paths` are the files that may hold the cases.

    Raises:
        MalformedError: not of this form.
    """
    if "golden" not in record:
        return None
    with record.object("golden") as inner:
        path = inner.text("path")
        if path not in paths:
            raise inner.fault("path", "names no file, or one of the model's")
        cases = inner.integer("cases", lowest=1, highest=MOST_CASES)
        return GoldenNote(path, cases, _limits(inner), inner.switch("guard"))


def _limits(record: Record) -> GoldenLimits:
    absolute, relative = read_float(record, "absolute"), read_float(record, "relative")
    if absolute is None or relative is None:
        raise record.fault("absolute", "and 'relative' must be there")
    ranges = tuple(_range(item) for item in _some(record, "ranges"))
    try:
        return GoldenLimits(absolute, relative, read_float(record, "latency"), ranges).checked()
    except UsageError as error:
        raise record.fault("absolute", str(error)) from None


def _some(record: Record, name: str) -> list[Any]:
    if name not in record:
        return []
    items = record.items(name, longest=MOST_RANGES)
    if not items:
        raise record.fault(name, "must not be empty when present")
    return items


def _range(item: object) -> OutputRange:
    with Record(item, "inner manifest: range") as record:
        return OutputRange(record.text("name"), read_float(record, "minimum"), read_float(record, "maximum"))


def _range_to_json(each: OutputRange) -> dict[str, str]:
    ends = {"minimum": each.minimum, "maximum": each.maximum}
    return {"name": each.name} | {name: float(end).hex() for name, end in ends.items() if end is not None}


def _check_finite(values: Iterable[float], what: str, *, lowest: float | None) -> None:
    for value in values:
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if not numeric or value - value != 0 or (lowest is not None and value < lowest):
            raise UsageError(f"{what} must be finite numbers{' from 0 on' if lowest == 0 else ''}")
