"""What some tests need from outside: skipped without it, or failed where everything must run."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest

REQUIRE_ALL = "MODELKEEP_REQUIRE_ALL"


def require(command: str, package: str | None = None) -> None:
    """Skips the test, or fails it when the environment asks for all, if `command` is not installed."""
    if shutil.which(command) is None:
        missing(f"{command} is not installed (apt-get install {package or command})")


def require_module(module: str, group: str) -> None:
    """Skips the test, or fails it when the environment asks for all, without a module of this group."""
    # Not imported: that takes seconds, and is the test's.
    if importlib.util.find_spec(module) is None:
        missing(f"{module} is not installed (pip install --group {group})")


def missing(what: str) -> NoReturn:
    """Skips the test because of `what`; fails it when the environment asks for all."""
    if os.environ.get(REQUIRE_ALL):
        pytest.fail(f"{REQUIRE_ALL} is set, and {what}", pytrace=False)
    pytest.skip(what)
