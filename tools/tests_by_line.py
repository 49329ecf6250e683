"""Which tests run which line, and how long each takes: learned once, and again of test files that changed."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Of a function with many parameters; the others would notice what these do.
MOST_OF_A_FUNCTION = 4
# Collecting every test file of a line takes longer than running the tests that matter.
AT_FIRST = 8
# Seconds of tests that one change may cost, as measured without it.
MOST_SECONDS, MOST_SECONDS_AGAIN = 8.0, 60.0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a test.

    Attributes:
        name: the test, as pytest names it.
        seconds: how long it takes.
        lines: which lines it runs, by the name of the source.
        stale: sources that have changed since, of which the lines say nothing any more.
    """

    name: str
    seconds: float
    lines: dict[str, list[int]]
    stale: frozenset[str]

    def runs(self, source: str, line: int) -> bool:
        """Returns whether it may run a line."""
        return source in self.lines and (source in self.stale or line in self.lines[source])


class TestsByLine:
    """What was learned, kept in a file."""

    # Not a test itself, whatever its name says.
    __test__ = False

    def __init__(self, path: Path, root: Path, source: Path) -> None:
        self._path, self._root, self._source = path, root, source
        self._learned: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
        self._known: list[Known] = []

    def unknown(self, files: Iterable[str]) -> list[str]:
        """Returns those of the test files of which nothing is known, or that have changed."""
        known = {file: found["digest"] for file, found in self._learned.items()}
        return [file for file in files if known.get(file) != _digest(self._root / file)]

    def learn(self, files: list[str]) -> None:
        """Runs test files and keeps what they run; in a process of its own, which takes the source anew."""
        import coverage
        import pytest

        measured = coverage.Coverage(data_file=None, source=[str(self._source)], config_file=False)
        measured.start()
        contexts = _Contexts(measured)
        pytest.main(["-q", "-p", "no:cacheprovider", "-m", "not slow", *files], plugins=[contexts])
        measured.stop()
        lines = self._lines_by_test(measured.get_data())
        sources = {name: _digest(self._source / name) for found in lines.values() for name in found}
        for file in files:
            self._learned[file] = {"digest": _digest(self._root / file), "sources": sources, "tests": {}}
        for test, seconds in contexts.passed().items():
            found = {"seconds": seconds, "lines": lines.get(test, {})}
            self._learned[test.partition("::")[0]]["tests"][test] = found
        self._path.write_text(json.dumps(self._learned))

    def _lines_by_test(self, data: Any) -> dict[str, dict[str, list[int]]]:
        found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for path in data.measured_files():
            name = Path(path).relative_to(self._source).as_posix()
            for line, tests in data.contexts_by_lineno(path).items():
                for test in tests:
                    found[test][name].append(line)
        return found

    def gather(self, files: Iterable[str]) -> None:
        """Puts together what is known of these test files."""
        present = {
            each.relative_to(self._source).as_posix(): _digest(each) for each in self._source.rglob("*.py")
        }
        for file in files:
            found = self._learned[file]
            stale = frozenset(
                name for name, digest in found["sources"].items() if present.get(name) != digest
            )
            for test, known in found["tests"].items():
                self._known.append(Known(test, known["seconds"], known["lines"], stale))

    def for_line(self, source: str, line: int) -> list[str]:
        """Returns the tests that may notice a change of a line, those first that nearly always do."""
        found = self._for_line(source, line)
        # A test that goes through all of a file has more to notice with than one that passes by; and many
        # that are quick more than a few that are not.
        broad = _dealt(sorted(found, key=lambda each: (-len(each.lines[source]), each.seconds)))[:AT_FIRST]
        quick = sorted((each for each in found if each not in broad), key=lambda each: each.seconds)
        return [each.name for each in _affordable([*broad, *quick], MOST_SECONDS)]

    def all_for_line(self, source: str, line: int) -> list[str]:
        """Returns all of them, as far as time allows, the quickest first."""
        quick = sorted(self._for_line(source, line), key=lambda each: each.seconds)
        return [each.name for each in _affordable(quick, MOST_SECONDS_AGAIN)]

    def _for_line(self, source: str, line: int) -> list[Known]:
        of_source = [each for each in self._known if source in each.lines]
        # A line that none runs is run when the file is imported: all of them may notice.
        return [each for each in of_source if each.runs(source, line)] or of_source


def _affordable(tests: Iterable[Known], most: float) -> Iterator[Known]:
    spent = 0.0
    for test in tests:
        if spent + test.seconds <= most:
            spent += test.seconds
            yield test


def _dealt(tests: Iterable[Known]) -> list[Known]:
    """Returns the tests so that those of different functions come first."""
    rounds: dict[str, int] = defaultdict(int)
    numbered = []
    for test in tests:
        function = test.name.partition("[")[0]
        numbered.append((rounds[function], len(numbered), test))
        rounds[function] += 1
    return [test for _, _, test in sorted(numbered, key=lambda each: each[:2])]


class _Contexts:
    """Tells the coverage which test is running, and takes the time of each."""

    def __init__(self, coverage: Any) -> None:
        self._coverage = coverage
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()

    def passed(self) -> dict[str, float]:
        return {name: each for name, each in self._seconds.items() if name not in self._failed}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        count: dict[str, int] = defaultdict(int)
        for item in items:
            count[item.nodeid.partition("[")[0]] += 1
        seen: dict[str, int] = defaultdict(int)
        items[:] = [item for item in items if self._is_one_of_few(item.nodeid.partition("[")[0], count, seen)]

    def _is_one_of_few(self, function: str, count: dict[str, int], seen: dict[str, int]) -> bool:
        # Spread over all of them: neighbours are often of one kind.
        step = -(-count[function] // MOST_OF_A_FUNCTION)
        seen[function] += 1
        return (seen[function] - 1) % step == 0

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self._coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if report.outcome != "passed":
            self._failed.add(report.nodeid)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
