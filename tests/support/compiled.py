"""The compiled statistics as a fixture, in a file of its own: on ARM, tests run without other fixtures."""

from __future__ import annotations

import pytest

from modelkeep.guard.statistics import are_compiled
from support.needs import missing


@pytest.fixture(scope="session")
def compiled_statistics() -> None:
    """The compiled statistics; without them, NumPy takes the statistics and has nothing to agree with."""
    if not are_compiled():
        missing("modelkeep-statistics is not installed (pip install ./rust/statistics, which needs cargo)")
