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

# Of one process, in a trial with some tests, and in one with all of them.
MOST_PROCESSOR_SECONDS, MOST_PROCESSOR_SECONDS_AGAIN = 40, 100
# What holds constants that are only there when a file is imported.
OF_CONSTANTS = "tests/unit/test_stated_limits.py::test_formats_have_the_sizes_and_limits_that_they_state"
_NO_FUNCTION = 77
_WORDS = {0: "survived", None: "killed by time"}


class Change:
    """A change of one file.

    Attributes:
        name: the file.
        before: what it says.
        after: what it would say.
        start: where the change begins, in bytes.
    """

    def __init__(self, name: str, before: bytes, mutation: Mutation) -> None:
        self.name, self.before, self.start = name, before, mutation.start
        self.after = mutation.apply(before)

    @property
    def is_a_program(self) -> bool:
        """Whether Python reads it."""
        try:
            compile(self.after, self.name, "exec")
        except SyntaxError:
            return False
        return True


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
        self._seconds = MOST_PROCESSOR_SECONDS_AGAIN if again else MOST_PROCESSOR_SECONDS
        self._sound: dict[str, bool] = {}

    def outcome(self, name: str, mutation: Mutation) -> str:
        """Returns what came of a change of one file, in words."""
        names = self._names(name, mutation.line)
        change = Change(name, (self._source / name).read_bytes(), mutation)
        if not names:
            return "no test"
        if not change.is_a_program:
            return "no program"
        outcome = "survived"
        with self._changed(change):
            for some in filter(None, (names[:AT_FIRST], names[AT_FIRST:])):
                if outcome == "survived":
                    outcome = self._try(change, some)
        return outcome

    def _names(self, name: str, line: int) -> list[str]:
        if self._again:
            return self._collected.with_all_parameters(self._tests.all_for_line(name, line))
        return self._tests.for_line(name, line)

    @contextmanager
    def _changed(self, change: Change) -> Iterator[None]:
        # For processes that tests start, too.
        (self._copy / change.name).write_bytes(change.after)
        try:
            yield
        finally:
            (self._copy / change.name).write_bytes(change.before)

    def _try(self, change: Change, names: list[str]) -> str:
        code = in_a_copy(lambda: self._run(change, names), processor_seconds=self._seconds)
        if code == _NO_FUNCTION:
            # Every file is imported anew, which takes long: at first for a few tests alone.
            few = [OF_CONSTANTS, *(names if self._again else names[:AT_FIRST])]
            code = in_a_copy(lambda: _run_afresh(few), processor_seconds=self._seconds)
        elif code == 1 and not self._is_sound(failed := self._collected.failed()):
            return self._try(change, [each for each in names if each != failed])
        return _WORDS.get(code, "killed")

    def _run(self, change: Change, names: list[str]) -> int:
        _be_silent()
        place = str(self._copy / change.name)
        if not self._functions.put_in(place, change.before, change.after, change.start):
            return _NO_FUNCTION
        return self._collected.run(names)

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
