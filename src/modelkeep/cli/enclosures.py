"""What is sealed beside a model: changes of its contract, and golden vectors."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelkeep.errors import UsageError
from modelkeep.storage import named, read_small

if TYPE_CHECKING:
    from modelkeep.golden import Golden
    from modelkeep.golden_limits import GoldenLimits
    from modelkeep.guard.profile import GuardProfile

_LARGEST = 2**20


def contract(path: str | None) -> Mapping[str, Mapping[str, Any]] | None:
    """Returns changes of the input contract from a JSON file `{"input": {"minimum": 0, ...}}`.

    Raises:
        StorageError: cannot be read.
        UsageError: not of this form.
    """
    if path is None:
        return None
    value = _json(path, "a contract")
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise UsageError(
            f"{path}: not a contract", hint='for example {"image": {"minimum": 0, "maximum": 1}}'
        )
    return value


def guard(path: str | None) -> GuardProfile | None:
    """Returns the guard profile to be sealed, or None.

    Raises:
        StorageError: cannot be read.
        MalformedError: not a guard profile.
    """
    if path is None:
        return None
    from modelkeep.guard.profile import GuardProfile

    with named(path):
        return GuardProfile.load(path)


def golden(arguments: argparse.Namespace) -> Golden | None:
    """Returns the golden vectors to be sealed, or None.

    Raises:
        StorageError: a file cannot be read.
        MalformedError, UsageError: not of their forms.
    """
    if arguments.golden is None:
        if arguments.golden_limits is not None:
            raise UsageError("--golden-limits are for golden vectors", hint="pass --golden as well")
        return None
    # Loads NumPy, which most commands do without.
    from modelkeep.golden import Golden

    path = arguments.golden_limits
    limits = None if path is None else _limits(path)
    with named(arguments.golden):
        return Golden.load(arguments.golden, limits)


def _limits(path: str) -> GoldenLimits:
    from modelkeep.golden_limits import GoldenLimits

    with named(path):
        return GoldenLimits.of_dict(_json(path, "limits"))


def _json(path: str, what: str) -> Any:
    try:
        return json.loads(read_small(path, _LARGEST, what))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: not JSON: line {error.lineno}: {error.msg.lower()}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path}: not JSON") from None
