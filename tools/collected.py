"""Tests that are collected once, and run as often as somebody likes in copies of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest


class Collected:
    """A plugin of pytest: it gives what was collected to somebody instead of running it.

    Args:
        work: called with this, instead of the tests.
        note: where a copy writes which test failed.
    """

    def __init__(self, work: Callable[[Collected], None], note: Path) -> None:
        self._work, self._note = work, note
        self._items: dict[str, Any] = {}
        self._has_failed = False

    def with_all_parameters(self, names: list[str]) -> list[str]:
        """Returns the tests, and those of the same functions with other parameters."""
        wanted = {name.partition("[")[0] for name in names}
        others = [name for name in self._items if name.partition("[")[0] in wanted]
        return list(dict.fromkeys([*names, *others]))

    def run(self, names: Iterable[str]) -> int:
        """Runs tests until one fails, in a copy of this process; returns 0, or 1 if one failed."""
        chosen = [self._items[name] for name in names if name in self._items]
        for item, following in zip_longest(chosen, chosen[1:]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._has_failed:
                self._note.write_text(item.nodeid)
                return 1
        return 0

    def failed(self) -> str:
        """Returns which test failed in the last copy."""
        return self._note.read_text()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self._work(self)
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._has_failed = self._has_failed or report.failed
