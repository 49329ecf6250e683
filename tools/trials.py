"""Trials of changes: does a test that may notice a change fail with it?"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.changed_functions import Functions
from tools.collected import Collected
from tools.mutations import Mutation
from tools.tests_by_line import AT_FIRST, TestsByLine
from tools.trial import in_a_copy

# Of one process, in a trial.
MOST_PROCESSOR_SECONDS = 40
# What holds constants that are only there when a file is imported.
OF_CONSTANTS = "tests/unit/test_edges.py::test_formats_have_the_sizes_and_limits_that_they_state"
_NO_FUNCTION = 77


class Trials:
    """Tries changes of files in a copy of the source, which this process has imported.

    Args:
        source: the files as they are.
        copy: the folder with the copy of them.
        tests: which tests run which line.
        collected: all of the tests.
        again: with all tests of a line and all their parameters, not only those that nearly always notice.
    """

    def __init__(
        self, source: Path, copy: Path, tests: TestsByLine, collected: Collected, *, again: bool
    ) -> None:
        self._source, self._copy, self._tests, self._collected = source, copy, tests, collected
        self._again, self._functions = again, Functions()
        self._sound: dict[str, bool] = {}

    def outcome(self, name: str, mutation: Mutation) -> str:
        """Returns what came of a change of one file, in words."""
        names = self._names(name, mutation.line)
        if not names:
            return "no test"
        before = (self._source / name).read_bytes()
        after = mutation.apply(before)
        try:
            compile(after, name, "exec")
        except SyntaxError:
            return "no program"
        with self._changed(name, before, after):
            for some in filter(None, (names[:AT_FIRST], names[AT_FIRST:])):
                outcome = self._try(name, before, after, mutation.start, some)
                if outcome != "survived":
                    return outcome
        return "survived"

    def _names(self, name: str, line: int) -> list[str]:
        if self._again:
            return self._collected.with_all_parameters(self._tests.all_for_line(name, line))
        return self._tests.for_line(name, line)

    @contextmanager
    def _changed(self, name: str, before: bytes, after: bytes) -> Iterator[None]:
        # For processes that tests start, too.
        (self._copy / name).write_bytes(after)
        try:
            yield
        finally:
            (self._copy / name).write_bytes(before)

    def _try(self, name: str, before: bytes, after: bytes, start: int, names: list[str]) -> str:
        def with_change() -> int:
            _be_silent()
            path = str(self._copy / name)
            if not self._functions.put_in(path, before, after, start):
                return _NO_FUNCTION
            return self._collected.run(names)

        code = in_a_copy(with_change, processor_seconds=MOST_PROCESSOR_SECONDS)
        if code == _NO_FUNCTION:
            # Every file is imported anew, which takes long: at first for a few tests alone.
            few = [OF_CONSTANTS, *(names if self._again else names[:AT_FIRST])]
            code = in_a_copy(lambda: _run_afresh(few), processor_seconds=MOST_PROCESSOR_SECONDS)
        elif code == 1 and not self._is_sound(failed := self._collected.failed()):
            return self._try(name, before, after, start, [each for each in names if each != failed])
        if code is None:
            return "killed by time"
        return "killed" if code else "survived"

    def _is_sound(self, name: str) -> bool:
        """Returns whether a test passes in a copy of this process when nothing is changed."""
        if name not in self._sound:
            code = in_a_copy(lambda: _be_silent() or self._collected.run([name]))
            self._sound[name] = code == 0
        return self._sound[name]


def _be_silent() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


def _run_afresh(names: list[str]) -> int:
    _be_silent()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *names])
