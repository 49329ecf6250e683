"""A policy as a file that people write, in TOML. Source: spec/posture-v1.md section 8."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from modelkeep.errors import MalformedError, UsageError
from modelkeep.posture.finding import FindingValue
from modelkeep.posture.policy import AllOf, AnyOf, Claim, MaximumAge, Policy, Prove, ProveAtLeast
from modelkeep.record import Record
from modelkeep.toml_record import toml_record

LARGEST_FILE = 65_536
DEFAULT_AGE = 600

_FORMAT, _VERSION = "modelkeep/posture-policy", 1
_LONGEST_AGE = 10**9
_MOST_VALUES = 256
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


def parse(data: bytes) -> Policy:
    """Reads a policy.

    Raises:
        UsageError: not TOML, or not a policy; the message says where.
        UnsupportedVersionError: of a newer version.
    """
    if len(data) > LARGEST_FILE:
        raise UsageError(f"a posture policy has at most {LARGEST_FILE} bytes")
    with toml_record(data, "posture policy", "docs/posture.md") as record:
        return _policy(record)


def _policy(record: Record) -> Policy:
    record.check_format(_FORMAT, _VERSION)
    age = (
        record.integer("maximum-age", lowest=1, highest=_LONGEST_AGE)
        if "maximum-age" in record
        else DEFAULT_AGE
    )
    rules = list(_rules(record, "posture policy"))
    if not rules:
        raise MalformedError("posture policy: asks for nothing")
    return AllOf(MaximumAge(age), *rules)


def _rules(record: Record, what: str) -> Iterator[Policy]:
    """Yields the rules of one table: what it asks to be proven or claimed, and its alternatives."""
    if "prove" in record:
        yield from _proofs(record.anything("prove"), f"{what}: prove")
    if "claim" in record:
        yield from _claims(record.anything("claim"), f"{what}: claim")
    if "any" in record:
        yield AnyOf(*[_alternative(each, f"{what}: any") for each in record.items("any", longest=16)])


def _alternative(value: object, what: str) -> Policy:
    with Record(value, what) as record:
        return AllOf(*_rules(record, what))


def _proofs(value: object, what: str) -> Iterator[Policy]:
    for name, wanted in _members(value, what):
        if isinstance(wanted, dict):
            with Record(wanted, f"{what}: {name}") as record:
                yield ProveAtLeast(name, record.integer("minimum"))
        else:
            yield Prove(name, _values(wanted, f"{what}: {name}"))


def _claims(value: object, what: str) -> Iterator[Policy]:
    for name, wanted in _members(value, what):
        yield Claim(name, _values(wanted, f"{what}: {name}"))


def _members(value: object, what: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        raise MalformedError(f"{what}: must be a table that is not empty")
    for name, wanted in value.items():
        if not _NAME.fullmatch(name):
            raise MalformedError(f"{what}: {name[:64]!r} is no name of a finding")
        yield name, wanted


def _values(wanted: object, what: str) -> tuple[FindingValue, ...]:
    values = wanted if isinstance(wanted, list) else [wanted]
    if not 1 <= len(values) <= _MOST_VALUES or not all(isinstance(each, bool | int | str) for each in values):
        raise MalformedError(f"{what}: must be a text, a number, true or false, or a list of them")
    return tuple(values)
