"""Whether inputs keep a model's contract: exact checks, from the cheapest to the dearest.

A runtime trusts what it is handed: it reads swapped bytes as numbers, text of the wrong kind
beyond its end, and accepts NaN everywhere. Hence only plain `numpy.ndarray` objects pass, in
exactly the element type, shape and range that the contract names; and lists of them and maps of plain
numbers and text, where the model takes those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from modelkeep.contract import Contract, TensorContract
from modelkeep.finding import Finding
from modelkeep.guard.array_check import array_fault
from modelkeep.guard.container_check import map_fault, sequence_fault
from modelkeep.guard.words import kind, printable


class ContractCheck:
    """Holds inputs against a contract.

    Attributes:
        contract: what inputs must look like.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    def findings(self, inputs: Mapping[str, object]) -> tuple[Finding, ...]:
        """Returns how `inputs` break the contract: at most one finding per input, the cheapest to find.

        Findings come in the order of the contract, then unexpected inputs by name. Nothing is copied
        or changed, and no object makes it raise. Subclasses of `ndarray` do not pass: a masked array
        hides values, and the file behind a `memmap` can change after the check.

        Hand the very same objects to the runtime. A lazy mapping may give others the next time it is
        asked, so make a `dict` of it first.
        """
        pairs = _pairs(inputs)
        if pairs is None:
            return (Finding("type", "*", "a mapping of input names to arrays", kind(inputs)),)
        # Only true strings become keys: a foreign object could compare equal to a name, or raise.
        given = {name: value for name, value in pairs if type(name) is str}
        strangers = [name for name, _ in pairs if type(name) is not str]
        faults = [_fault(tensor, given) for tensor in self.contract.inputs]
        present = (fault for fault in faults if fault is not None)
        return (*present, *_unexpected(self.contract, given, strangers))


def advice(findings: Sequence[Finding]) -> str:
    """Returns what to do about inputs that break a contract: the switches that its publisher has."""
    switches = sorted({switch for each in findings if (switch := _switch(each)) is not None})
    advised = "`session.contract` says what the model takes"
    if not switches:
        return advised
    return f"{advised}; if the model means it, its publisher seals it with {', '.join(switches)}"


def _switch(finding: Finding) -> str | None:
    if finding.expected.startswith("at least one "):
        return "empty=true"
    return {"not-finite": "finite=false", "unexpected": "optional=true"}.get(finding.code)


def _pairs(inputs: object) -> list[tuple[object, object]] | None:
    try:
        return [(name, inputs[name]) for name in inputs] if isinstance(inputs, Mapping) else None
    except Exception:  # a foreign object may raise anything at all
        return None


def _unexpected(
    contract: Contract, given: Mapping[str, object], strangers: list[object]
) -> Iterator[Finding]:
    known = contract.by_name()
    if not strangers and given.keys() <= known.keys():
        return
    expected = ", ".join(known) or "no inputs"
    for name in sorted(given.keys() - known.keys()):
        yield Finding("unexpected", printable(name), expected, "an input of this name")
    for name in sorted(kind(stranger) for stranger in strangers):
        yield Finding("unexpected", "*", expected, f"a name of type {name}")


def _fault(tensor: TensorContract, given: Mapping[str, object]) -> Finding | None:
    value = given.get(tensor.name)
    if value is None and tensor.optional:
        return None
    if tensor.name not in given:
        return Finding("missing", tensor.name, _expected(tensor), "nothing")
    if tensor.sequence:
        return sequence_fault(tensor, value)
    return map_fault(tensor, value) if tensor.keys is not None else array_fault(tensor, value)


def _expected(tensor: TensorContract) -> str:
    one = f"{tensor.dtype} array" if tensor.keys is None else f"map from {tensor.keys} to {tensor.dtype}"
    return f"a list, each part a {one}" if tensor.sequence else f"a {one}"
