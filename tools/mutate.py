"""Changes the security core at random places and sees whether a test notices.

    python tools/mutate.py --sample 400 --seed 1     # what `make mutate` does; goes on where it was stopped
    python tools/mutate.py --again survivors.json    # only what that run left

Tests run once to learn which lines each of them covers, and how long it takes. For every change, those that
cover its line run, the most particular first, until one fails. Files are changed in a copy, which stands
before the real ones on the path; processes that tests start take the copy, too.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from tools.mutations import Mutation, mutations  # noqa: E402 - tools are no package that is installed

SOURCE = ROOT / "src" / "modelkeep"
WORK = ROOT / ".mutants"
COPY = WORK / "src" / "modelkeep"
COVERED = WORK / "covered.json"
CORE = (
    "bundle/*.py", "container/*.py", "device/*.py", "grants/*.py", "keys/*.py", "memory/*.py", "payload/*.py",
    "trust/*.py", "bulk_granting.py", "canonical.py", "clock.py", "dsse.py", "extraction.py", "gate.py",
    "granting.py", "key_purpose.py", "keywrap.py", "manifest.py", "partial.py", "private_file.py",
    "public_key.py", "record.py", "release_order.py", "renewing.py", "signer_id.py", "storage.py",
)  # fmt: skip
# What is tested by services, keyrings and processes that take too long for every change.
LEFT_OUT = (
    "keys/kernel_keyring.py", "keys/os_keyring.py", "keys/systemd.py", "memory/secret_pages.py",
    "trust/service_errors.py", "trust/service_signer.py", "trust/sigstore_identity.py",
)  # fmt: skip
TESTS = (
    "tests/unit/test_[!gob]*.py", "tests/unit/test_bu[!i]*.py", "tests/unit/test_bundle*.py",
    "tests/unit/test_ga*.py", "tests/unit/test_gr*.py", "tests/vectors/test_[!rw]*.py",
    "tests/attacks/test_[!ip]*.py", "tests/attacks/test_in*.py", "tests/attacks/test_publishers.py",
    "tests/conformance/test_software_keystores.py",
)  # fmt: skip
# Of other rooms, or of every file at once.
OTHER_TESTS = (
    "test_is", "test_posture", "test_docs", "test_door", "test_words", "test_model", "test_guard",
    "test_onnx", "test_openvino", "test_tflite", "test_gguf", "test_ort", "test_runtime", "test_contract",
    "test_cli_posture", "test_cli_contracts", "test_learn", "test_probes", "test_safetensors", "test_verity",
    "test_threat_model", "test_sites", "test_inputs", "test_apple", "test_attestation", "test_tpm_evidence",
    "test_benches", "test_cli_exit", "test_cli_streams", "test_hardware", "test_memory_residue",
    "test_flips", "test_arrays", "test_migration", "test_cli_import", "test_concurrency", "test_resources",
    "test_inner", "test_races", "test_power",
)  # fmt: skip
# Imported once; every trial begins as a copy of this process.
HEAVY = ("pytest", "numpy", "cryptography.x509", "blake3", "onnx", "concurrent.futures")
# Seconds of tests that one change may cost, as measured without it.
MOST_SECONDS = 20.0
# Of a function with many parameters; the others would notice what these do.
MOST_OF_A_FUNCTION = 4
TIMES_SLOWER = 8


def main() -> None:
    """Runs the trials that are asked for and says what survived."""
    arguments = _arguments()
    WORK.mkdir(exist_ok=True)
    if not COVERED.exists():
        _in_a_copy(lambda: _learn(_tests()))
    covered = json.loads(COVERED.read_text())
    shutil.rmtree(COPY.parent, ignore_errors=True)
    shutil.copytree(SOURCE, COPY, ignore=shutil.ignore_patterns("__pycache__"))
    for name in HEAVY:
        importlib.import_module(name)
    _check_that_nothing_changed_passes(covered)
    results = WORK / f"results-{arguments.seed}.jsonl"
    chosen = _again(arguments.again) if arguments.again else _sample(arguments.sample, arguments.seed)
    done = _done(results) if not arguments.again else {}
    with results.open("a") as log:
        for name, mutation in chosen:
            key = f"{name}:{mutation.start}:{mutation.text}"
            if key in done:
                continue
            outcome = _try(name, mutation, _chosen_tests(covered, name, mutation.line))
            record = {"key": key, "file": name, "line": mutation.line, "outcome": outcome}
            record |= {"what": mutation.words((SOURCE / name).read_bytes()), "mutation": _fields(mutation)}
            log.write(json.dumps(record) + "\n")
            log.flush()
    _conclude(_done(results).values())


def _check_that_nothing_changed_passes(covered: dict[str, Any]) -> None:
    quick = sorted(covered["seconds"], key=covered["seconds"].__getitem__)
    some = quick[:: len(quick) // 20 + 1]
    if _in_a_copy(lambda: _run(some), seconds=600) != 0:
        raise SystemExit("tests fail although nothing was changed")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", type=Path, help="results whose survivors are tried again")
    return parser.parse_args()


def _fields(mutation: Mutation) -> list[Any]:
    return [mutation.start, mutation.end, mutation.line, mutation.text]


def _core() -> list[str]:
    found = (path for pattern in CORE for path in SOURCE.glob(pattern))
    return sorted(name for path in found if (name := path.relative_to(SOURCE).as_posix()) not in LEFT_OUT)


def _sample(count: int, seed: int) -> list[tuple[str, Mutation]]:
    every = [(name, each) for name in _core() for each in mutations((SOURCE / name).read_bytes())]
    chosen = random.Random(seed).sample(every, min(count, len(every)))
    print(f"{len(chosen)} of {len(every)} changes, seed {seed}", flush=True)
    return chosen


def _again(results: Path) -> list[tuple[str, Mutation]]:
    left = (json.loads(line) for line in results.read_text().splitlines())
    return [(each["file"], Mutation(*each["mutation"])) for each in left if each["outcome"] != "killed"]


def _done(results: Path) -> dict[str, dict[str, Any]]:
    if not results.exists():
        return {}
    return {each["key"]: each for each in map(json.loads, results.read_text().splitlines())}


def _tests() -> list[str]:
    found = {path for pattern in TESTS for path in ROOT.glob(pattern)}
    return sorted(str(path.relative_to(ROOT)) for path in found if not path.name.startswith(OTHER_TESTS))


def _in_a_copy(work: Any, seconds: float | None = None) -> int | None:
    """Runs `work` in a copy of this process; returns its exit code, or None if it took too long."""
    child = os.fork()
    if child == 0:
        os.setsid()
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _end(child)
            return os.waitstatus_to_exitcode(status)
        if deadline is not None and time.monotonic() > deadline:
            _end(child)
            os.waitpid(child, 0)
            return None
        time.sleep(0.02)


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


class _Contexts:
    """Tells the coverage which test is running, and takes the time of each."""

    def __init__(self, coverage: Any) -> None:
        self.coverage = coverage
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

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
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.outcome != "passed":
            self.failed.add(report.nodeid)


def _learn(tests: list[str]) -> int:
    import coverage
    import pytest

    _put_first(SOURCE.parent)
    measured = coverage.Coverage(data_file=None, source=[str(SOURCE)], config_file=False)
    measured.start()
    contexts = _Contexts(measured)
    pytest.main(["-q", "-p", "no:cacheprovider", "-m", "not slow", *tests], plugins=[contexts])
    measured.stop()
    lines: dict[str, dict[str, list[str]]] = {}
    data = measured.get_data()
    for path in data.measured_files():
        by_line = data.contexts_by_lineno(path)
        names = {str(line): [each for each in found if each] for line, found in by_line.items()}
        lines[Path(path).relative_to(SOURCE).as_posix()] = names
    seconds = {name: each for name, each in contexts.seconds.items() if name not in contexts.failed}
    COVERED.write_text(json.dumps({"lines": lines, "seconds": seconds}))
    return 0


def _chosen_tests(covered: dict[str, Any], name: str, line: int) -> list[str]:
    lines, seconds = covered["lines"].get(name, {}), covered["seconds"]
    tests = set(lines.get(str(line), ()))
    if not tests:
        # Run when the file is imported, like a constant: every test of the file may notice.
        tests = {test for found in lines.values() for test in found}
    breadth = _breadth(lines)
    ranked = sorted(
        (test for test in tests if test in seconds), key=lambda test: (breadth[test], seconds[test])
    )
    return list(_affordable(_dealt(ranked), seconds))


def _breadth(lines: dict[str, list[str]]) -> dict[str, int]:
    # A test that goes through all of a file has more to notice with than one that only passes by.
    count: dict[str, int] = defaultdict(int)
    for found in lines.values():
        for test in found:
            count[test] -= 1
    return count


def _dealt(tests: Iterable[str]) -> list[str]:
    """Returns the tests so that those of different functions come first."""
    rounds: dict[str, int] = defaultdict(int)
    numbered = []
    for test in tests:
        function = test.partition("[")[0]
        numbered.append((rounds[function], len(numbered), test))
        rounds[function] += 1
    return [test for _, _, test in sorted(numbered)]


def _affordable(tests: Iterable[str], seconds: dict[str, float]) -> Iterator[str]:
    spent = 0.0
    for test in tests:
        if spent + seconds[test] <= MOST_SECONDS:
            spent += seconds[test]
            yield test


def _try(name: str, mutation: Mutation, tests: list[str]) -> str:
    if not tests:
        return "no test"
    real, changed = (SOURCE / name).read_bytes(), COPY / name
    try:
        mutated = mutation.apply(real)
        compile(mutated, name, "exec")
    except SyntaxError:
        return "no program"
    changed.write_bytes(mutated)
    try:
        code = _in_a_copy(lambda: _run(tests), seconds=30 + TIMES_SLOWER * MOST_SECONDS)
    finally:
        changed.write_bytes(real)
    return "survived" if code == 0 else "killed"


def _run(tests: list[str]) -> int:
    import pytest

    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    _put_first(COPY.parent)
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))


def _put_first(source: Path) -> None:
    # Read anew each time: a byte code file tells two changes of one second and one length not apart.
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.path.insert(0, str(source))
    os.chdir(ROOT)


def _conclude(results: Iterable[dict[str, Any]]) -> None:
    tried = [each for each in results if each["outcome"] != "no program"]
    left = [each for each in tried if each["outcome"] != "killed"]
    for each in sorted(left, key=lambda each: (each["file"], each["line"])):
        print(f"{each['outcome']}: {each['file']}:{each['line']}: {each['what']}")
    print(f"{len(tried) - len(left)} of {len(tried)} killed: {1 - len(left) / max(len(tried), 1):.1%}")


if __name__ == "__main__":
    main()
