"""Fixtures that every kind of test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelkeep.guard.statistics import kernel_is_installed
from support.needs import missing
from support.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A publisher, a device and a folder to seal models in."""
    return Workshop(tmp_path)


@pytest.fixture(scope="session")
def kernel() -> None:
    """The compiled kernel; without it, NumPy takes the statistics and has nothing to agree with."""
    if not kernel_is_installed():
        missing("modelkeep-kernel is not installed (pip install ./kernel, which needs cargo)")
