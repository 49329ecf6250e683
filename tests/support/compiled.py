"""The compiled statistics as a fixture, in a file of its own: on ARM, tests run without other fixtures."""

from __future__ import annotations

import pytest

from modelkeep.guard.compiled import compiled
from support.needs import missing


@pytest.fixture(scope="session")
def compiled_statistics() -> None:
    """The compiled statistics; without them, NumPy takes the statistics and has nothing to agree with."""
    if compiled() is None:
        missing("modelkeep-statistics is not installed (pip install ./rust/statistics, which needs cargo)")
