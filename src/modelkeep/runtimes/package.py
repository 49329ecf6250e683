"""Packages that compute, imported when they are needed; and what it means that one cannot be."""

from __future__ import annotations

import importlib
from typing import Any

from modelkeep.errors import RuntimeMissingError
from modelkeep.runtimes.messages import first_line


def imported(module: str, package: str, hint: str) -> Any:
    """Returns a module of a runtime's package.

    Args:
        module: its name.
        package: what the package is called where it is installed from.
        hint: how to install it.

    Raises:
        RuntimeMissingError: it is not installed, or it is and cannot be imported: for lack of a library of
            the system, or because another package is of a version that does not fit.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in (module, module.partition(".")[0]):
            raise RuntimeMissingError(f"{package} is not installed", hint=hint) from error
        raise RuntimeMissingError(
            f"{package} cannot be imported: {first_line(error)}",
            hint=f"look at what else is installed beside it, or begin anew: {hint}",
        ) from error
