"""Outputs that were asked for by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from modelkeep.errors import UsageError


def check_outputs(names: Iterable[str], outputs: Collection[str]) -> None:
    """Checks that a model has all outputs that were asked for.

    Raises:
        UsageError: it has not.
    """
    if unknown := [name for name in names if name not in outputs]:
        raise UsageError(f"the model has no output {unknown[0]!r}", hint=f"outputs: {', '.join(outputs)}")
