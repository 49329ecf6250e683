"""Golden vectors: what a model makes of known inputs, to be tried on a device. Source: spec/golden-v1.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from modelkeep.arrays import parse_arrays, read_arrays, to_npz
from modelkeep.errors import MalformedError, UsageError
from modelkeep.golden_limits import MOST_CASES, GoldenLimits, OutputRange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelkeep.guard import Guard

PATH = "golden.npz"
LARGEST_FILE = 64 * 2**20
_INPUTS, _OUTPUTS = "inputs", "outputs"


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """One call of the model.

    Attributes:
        inputs: values by input name, as `Session.run` takes them.
        outputs: what the model made of them; empty where only ranges and latency are to be tried.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Golden:
    """Cases, and how far a device may be from them.

    Attributes:
        cases: at least one.
        limits: tolerances, latency, ranges.
    """

    cases: tuple[GoldenCase, ...]
    limits: GoldenLimits = field(default_factory=GoldenLimits)

    @classmethod
    def load(cls, path: str | os.PathLike[str], limits: GoldenLimits | None = None) -> Self:
        """Reads cases from a .npz file with arrays named ``CASE/inputs/NAME`` and ``CASE/outputs/NAME``.

        Raises:
            StorageError: the file cannot be read.
            MalformedError: it holds no cases.
        """
        return cls(_cases(read_arrays(path, None)), limits or GoldenLimits())

    @classmethod
    def record(
        cls,
        run: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        samples: Iterable[Mapping[str, Any]],
        limits: GoldenLimits | None = None,
    ) -> Self:
        """Makes cases of inputs and what `run`, for example `Session.run`, makes of them now.

        Raises:
            UsageError: no samples, or too many.
        """
        cases = tuple(GoldenCase(dict(sample), dict(run(sample))) for sample in samples)
        if not 1 <= len(cases) <= MOST_CASES:
            raise UsageError(f"golden vectors are 1 to {MOST_CASES} cases, not {len(cases)}")
        return cls(cases, limits or GoldenLimits())

    @classmethod
    def from_bytes(cls, data: bytes, limits: GoldenLimits) -> Self:
        """Parses what `to_bytes` wrote.

        Raises:
            MalformedError: no cases, or compressed ones.
        """
        return cls(_cases(parse_arrays(data, PATH)), limits)

    def to_bytes(self) -> bytes:
        """Returns the cases as a .npz file.

        Raises:
            UsageError: a value is no array, list or map, or they are larger than 64 MiB together.
        """
        content = to_npz(
            {
                f"{place}/{kind}/{name}": value
                for place, case in enumerate(self.cases)
                for kind, values in ((_INPUTS, case.inputs), (_OUTPUTS, case.outputs))
                for name, value in values.items()
            }
        )
        if len(content) > LARGEST_FILE:
            raise UsageError("golden vectors take more than 64 MiB", hint="fewer or smaller cases do as well")
        return bytes(content)


def departures(case: GoldenCase, outputs: Mapping[str, Any], limits: GoldenLimits) -> Iterator[str]:
    """Yields in words what is wrong with the outputs of a case."""
    for each in limits.ranges:
        yield from _out_of_range(each, outputs)
    for name, golden in case.outputs.items():
        if name not in outputs:
            yield f"output {name!r} is missing"
        else:
            yield from _differences(name, golden, outputs[name], limits)


def notices_stuck(guard: Guard, case: GoldenCase) -> bool:
    """Returns whether a guard raises an alarm where every input is full of its first element."""
    return any(reading.is_alarm for reading in guard.readings(_stuck(case.inputs), {}))


def _stuck(inputs: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    return {
        name: np.full_like(value, value.flat[0]) if isinstance(value, np.ndarray) and value.size else value
        for name, value in inputs.items()
    }


def _cases(values: Mapping[str, Any]) -> tuple[GoldenCase, ...]:
    cases: dict[str, GoldenCase] = {}
    for key, value in values.items():
        place, kind, name = [*key.split("/", 2), "", ""][:3]
        if not place.isdecimal() or kind not in (_INPUTS, _OUTPUTS) or not name:
            raise MalformedError(f"golden vectors: {key!r} is not CASE/inputs/NAME or CASE/outputs/NAME")
        case = cases.setdefault(place, GoldenCase({}, {}))
        values_of_case: Any = case.inputs if kind == _INPUTS else case.outputs
        values_of_case[name] = value
    places = [str(place) for place in range(len(cases))]
    if not places or cases.keys() != set(places) or len(places) > MOST_CASES:
        raise MalformedError(f"golden vectors: 1 to {MOST_CASES} cases are numbered from 0, without gaps")
    return tuple(cases[place] for place in places)


def _out_of_range(wanted: OutputRange, outputs: Mapping[str, Any]) -> Iterator[str]:
    import numpy as np

    if wanted.name not in outputs:
        yield f"output {wanted.name!r} is missing"
        return
    for place, array in _parts(wanted.name, outputs[wanted.name]):
        if array.dtype.kind in "USO" or not array.size:
            continue
        numbers = array.astype(np.float64)
        low, high = float(numbers.min()), float(numbers.max())
        # NaN compares as false, and so is out of every range.
        if not (wanted.minimum is None or low >= wanted.minimum) or np.isnan(low):
            yield f"{place} has {low:g}, below {wanted.minimum}"
        elif not (wanted.maximum is None or high <= wanted.maximum):
            yield f"{place} has {high:g}, above {wanted.maximum:g}"


def _differences(name: str, golden: Any, found: Any, limits: GoldenLimits) -> Iterator[str]:
    expected, actual = dict(_parts(name, golden)), dict(_parts(name, found))
    if expected.keys() != actual.keys():
        yield f"{name} is of another form"
        return
    for place, array in expected.items():
        difference = _difference(array, actual[place], limits)
        if difference:
            yield f"{place} {difference}"


def _difference(golden: NDArray[Any], found: NDArray[Any], limits: GoldenLimits) -> str:
    import numpy as np

    if golden.shape != found.shape:
        return f"has the shape {found.shape}, not {golden.shape}"
    if "text" in (_kind(golden), _kind(found)):
        same = _kind(golden) == _kind(found) and bool(np.all(golden == found))
        return "" if same else "says something else"
    excess = _excess(golden, found, limits)
    outside = int(np.count_nonzero(excess > 0))
    if not outside:
        return ""
    worst = int(np.argmax(excess))
    return f"has {found.flat[worst]:g} for {golden.flat[worst]:g}; {outside} of {excess.size} elements differ"


def _excess(golden: NDArray[Any], found: NDArray[Any], limits: GoldenLimits) -> NDArray[Any]:
    """Returns by how much more than allowed the elements differ; not above 0 where they may."""
    import numpy as np

    # Wide enough that integers do not wrap round.
    wide = np.complex128 if "c" in (golden.dtype.kind, found.dtype.kind) else np.float64
    golden, found = golden.astype(wide), found.astype(wide)
    with np.errstate(invalid="ignore"):
        far = np.abs(found - golden) - (limits.absolute + limits.relative * np.abs(golden))
    # Infinities less each other are no numbers; where both sides are the same there is no difference.
    same = (golden == found) | (np.isnan(golden) & np.isnan(found))
    return np.where(same, -1.0, np.nan_to_num(far, nan=np.inf))


def _kind(array: NDArray[Any]) -> str:
    return "text" if array.dtype.kind in "USO" else "number"


def _parts(name: str, value: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yields the arrays of which a value of a model is made, and how to call them."""
    import numpy as np

    if isinstance(value, list):
        for place, part in enumerate(value):
            yield from _parts(f"{name}[{place}]", part)
    elif isinstance(value, dict):
        yield f"{name}, keys", np.array([str(key) for key in value])
        yield f"{name}, values", np.array(list(value.values()))
    else:
        yield name, np.asarray(value)
