"""Policies: what a device must prove, as small composable rules over findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from modelkeep.errors import PostureError, UsageError
from modelkeep.posture.finding import Finding, FindingValue, words
from modelkeep.posture.verdict import Facts


class Policy(Protocol):
    """A rule over what was found; any function of this form is one."""

    def __call__(self, facts: Facts, /) -> None:
        """Returns when the device is acceptable.

        Raises:
            PostureError: it is not.
        """


@dataclass(frozen=True, slots=True)
class Prove:
    """Asks for a finding that hardware vouches for.

    Attributes:
        name: name of the finding.
        values: what it may be; empty for anything but no.
    """

    name: str
    values: tuple[FindingValue, ...] = ()

    def __call__(self, facts: Facts, /) -> None:
        """Raises PostureError unless it is proven and one of the values."""
        finding = _found(facts, self.name)
        if not finding.proven:
            why = f": {finding.why}" if finding.why else ""
            raise PostureError(f"{self.name} is only claimed{why}")
        _check_value(finding, self.values)


@dataclass(frozen=True, slots=True)
class Claim:
    """Asks for a finding, which may be the device's word alone: no proof.

    Attributes:
        name: name of the finding.
        values: what it may be; empty for anything but no.
    """

    name: str
    values: tuple[FindingValue, ...] = ()

    def __call__(self, facts: Facts, /) -> None:
        """Raises PostureError unless it was found and is one of the values."""
        _check_value(_found(facts, self.name), self.values)


@dataclass(frozen=True, slots=True)
class ProveAtLeast:
    """Asks for a proven number, for example a patch level, of at least `minimum`."""

    name: str
    minimum: int

    def __call__(self, facts: Facts, /) -> None:
        """Raises PostureError unless it is proven and no lower."""
        Prove(self.name)(facts)
        value = facts.findings[self.name].value
        if not isinstance(value, int) or isinstance(value, bool) or value < self.minimum:
            raise PostureError(f"{self.name} is {words(value)}, below {self.minimum}")


@dataclass(frozen=True, slots=True)
class MaximumAge:
    """Asks for an answer to a question that was asked at most `seconds` ago."""

    seconds: int

    def __call__(self, facts: Facts, /) -> None:
        """Raises PostureError for older answers, for answers from the future, and where nobody asked."""
        if facts.age is None:
            raise PostureError("the evidence answers no question")
        if not 0 <= facts.age <= self.seconds:
            raise PostureError(
                f"the question is {facts.age} seconds old, more than {self.seconds}, or not yet"
            )


class AllOf:
    """Accepts what every one of its policies accepts."""

    def __init__(self, *policies: Policy) -> None:
        self.policies = _some(policies)

    def __call__(self, facts: Facts, /) -> None:
        """Raises PostureError with every refusal."""
        reasons = refusals_of(self.policies, facts)
        if reasons:
            raise PostureError("; ".join(reasons))


class AnyOf:
    """Accepts what at least one of its policies accepts."""

    def __init__(self, *policies: Policy) -> None:
        self.policies = _some(policies)

    def __call__(self, facts: Facts, /) -> None:
        """Raises PostureError with every reason when none accepts."""
        reasons = refusals_of(self.policies, facts)
        if len(reasons) == len(self.policies):
            raise PostureError("no alternative is met: " + " | ".join(reasons))


class UnsafeNoPolicy:
    """Accepts every device whose evidence holds, whatever it proves: for looking at evidence only."""

    def __call__(self, _facts: Facts, /) -> None:
        """Accepts."""


def refusals_of(policies: tuple[Policy, ...], facts: Facts) -> tuple[str, ...]:
    """Returns the reasons of those policies that refuse."""
    reasons = []
    for policy in policies:
        try:
            policy(facts)
        except PostureError as refusal:
            reasons.append(str(refusal))
    return tuple(reasons)


def _found(facts: Facts, name: str) -> Finding:
    if name not in facts.findings:
        raise PostureError(f"{name} is not shown")
    return facts.findings[name]


def _check_value(finding: Finding, values: tuple[FindingValue, ...]) -> None:
    # Of several values, for example signers, every one has to be allowed, and no value is none.
    parts = finding.value if isinstance(finding.value, tuple) else (finding.value,)
    allowed = all(_is_one_of(part, values) for part in parts) and bool(parts)
    if not allowed:
        raise PostureError(f"{finding.name} is {words(finding.value) or 'empty'}{_instead_of(values)}")


def _is_one_of(part: FindingValue, values: tuple[FindingValue, ...]) -> bool:
    if not values:
        return part is not False
    # True is not the number 1 here.
    return any(type(part) is type(value) and part == value for value in values)


def _instead_of(values: tuple[FindingValue, ...]) -> str:
    return f", not {' or '.join(map(words, values))}" if values else ""


def _some(policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
    if not policies:
        raise UsageError("a combination of policies needs at least one")
    return policies
