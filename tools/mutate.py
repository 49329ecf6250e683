"""Changes the security core at random places and sees whether a test notices.

    python tools/mutate.py --sample 400 --seed 1     # what `make mutate` does; goes on where it was stopped
    python tools/mutate.py --again results-1.jsonl   # what that run left, with every test of its lines

Tests run once to learn which lines each of them covers, and how long it takes; again only where a test file
changed. For every change, those that cover its line run in a copy of this process, until one fails: a few at
first, which is nearly always enough, then the rest. What has changed is put into the function that is there;
files are changed in a copy of the source, which imports and processes that tests start take, too.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import random
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from tools.collected import Collected  # noqa: E402 - tools are no package that is installed
from tools.mutations import Mutation, mutations  # noqa: E402
from tools.tests_by_line import TestsByLine  # noqa: E402
from tools.trial import in_a_copy  # noqa: E402
from tools.trials import Trials  # noqa: E402

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
    "keys/kernel_keyring.py", "keys/os_keyring.py", "keys/systemd.py", "memory/heap.py",
    "memory/secret_pages.py", "memory/stack.py",
    "trust/service_errors.py", "trust/service_signer.py", "trust/sigstore_identity.py",
)  # fmt: skip
TESTS = (
    "tests/unit/test_[!gob]*.py", "tests/unit/test_bu[!i]*.py", "tests/unit/test_bundle*.py",
    "tests/unit/test_ga*.py", "tests/unit/test_gr*.py", "tests/vectors/test_[!rw]*.py",
    "tests/attacks/test_[!ip]*.py", "tests/attacks/test_in*.py", "tests/attacks/test_publishers.py",
    "tests/conformance/test_software_keystores.py", "tests/property/test_trust*.py",
    "tests/property/test_canonical*.py", "tests/property/test_grants*.py", "tests/property/test_payload*.py",
)  # fmt: skip
# Of other rooms, or of every file at once.
OTHER_TESTS = (
    "test_is", "test_posture", "test_docs", "test_door", "test_words", "test_model", "test_guard",
    "test_onnx", "test_openvino", "test_tflite", "test_gguf", "test_ort", "test_runtime", "test_contract",
    "test_cli_posture", "test_cli_contracts", "test_learn", "test_probes", "test_safetensors", "test_verity",
    "test_threat_model", "test_sites", "test_inputs", "test_apple", "test_attestation", "test_tpm_evidence",
    "test_benches", "test_cli_exit", "test_cli_streams", "test_hardware", "test_memory_residue",
    "test_flips", "test_arrays", "test_migration", "test_cli_import", "test_concurrency", "test_resources",
    "test_inner", "test_races",
)  # fmt: skip
# Nothing but what is asked of each copy is reported.
QUIETLY = (
    "-p",
    "no:cacheprovider",
    "-p",
    "no:terminal",
    "-m",
    "not slow",
    "-o",
    "addopts=--import-mode=importlib",
)


def main() -> None:
    """Runs the trials that are asked for and says what survived."""
    arguments = _arguments()
    WORK.mkdir(exist_ok=True)
    results = WORK / f"results-{arguments.seed}.jsonl"
    left, tests = _left(arguments, results), _learned()
    _copy_source()
    _put_first(COPY.parent)
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def work(collected: Collected) -> None:
        _log(left, Trials(SOURCE, COPY, tests, collected, again=arguments.again is not None), results)

    pytest.main([*QUIETLY, *_tests()], plugins=[Collected(work, WORK / "failed")])
    _conclude(_done(results).values())


def _left(arguments: argparse.Namespace, results: Path) -> list[tuple[str, Mutation]]:
    if arguments.again:
        return _again(arguments.again)
    done = _done(results)
    return [each for each in _sample(arguments.sample, arguments.seed) if _key(*each) not in done]


def _log(left: list[tuple[str, Mutation]], trials: Trials, results: Path) -> None:
    with results.open("a") as log:
        for name, mutation in left:
            print(json.dumps(_record(name, mutation, trials.outcome(name, mutation))), file=log, flush=True)


def _learned() -> TestsByLine:
    tests, files = TestsByLine(COVERED, ROOT, SOURCE), _tests()
    if unknown := tests.unknown(files):
        in_a_copy(lambda: _learn(tests, unknown))
        tests = TestsByLine(COVERED, ROOT, SOURCE)
    tests.gather(files)
    return tests


def _learn(tests: TestsByLine, files: list[str]) -> int:
    _put_first(SOURCE.parent)
    tests.learn(files)
    return 0


def _copy_source() -> None:
    shutil.rmtree(COPY.parent, ignore_errors=True)
    shutil.copytree(SOURCE, COPY, ignore=shutil.ignore_patterns("__pycache__"))
    # By what the files say, not by their time: a change of one second and one length is seen, too.
    compileall.compile_dir(COPY, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", type=Path, help="results whose survivors are tried again")
    return parser.parse_args()


def _record(name: str, mutation: Mutation, outcome: str) -> dict[str, Any]:
    what = mutation.words((SOURCE / name).read_bytes())
    key = _key(name, mutation)
    return {"key": key, "file": name, "line": mutation.line, "outcome": outcome, "what": what}


def _key(name: str, mutation: Mutation) -> str:
    return f"{name}:{mutation.start}:{mutation.text}"


def _survived(record: dict[str, Any]) -> bool:
    return record["outcome"] in ("survived", "no test")


def _core() -> list[str]:
    found = (path for pattern in CORE for path in SOURCE.glob(pattern))
    return sorted(name for path in found if (name := path.relative_to(SOURCE).as_posix()) not in LEFT_OUT)


def _sample(count: int, seed: int) -> list[tuple[str, Mutation]]:
    every = [(name, each) for name in _core() for each in mutations((SOURCE / name).read_bytes())]
    chosen = random.Random(seed).sample(every, min(count, len(every)))
    print(f"{len(chosen)} of {len(every)} changes, seed {seed}", flush=True)
    return chosen


def _again(results: Path) -> list[tuple[str, Mutation]]:
    left = filter(_survived, map(json.loads, results.read_text().splitlines()))
    return [(each["file"], found) for each in left if (found := _found(each)) is not None]


def _found(record: dict[str, Any]) -> Mutation | None:
    """Returns the change of a record where it is now, or None if there is nothing like it any more."""
    source = (SOURCE / record["file"]).read_bytes()
    like = [each for each in mutations(source) if each.words(source) == record["what"]]
    return min(like, key=lambda each: abs(each.line - record["line"]), default=None)


def _done(results: Path) -> dict[str, dict[str, Any]]:
    if not results.exists():
        return {}
    return {each["key"]: each for each in map(json.loads, results.read_text().splitlines())}


def _tests() -> list[str]:
    found = {path for pattern in TESTS for path in ROOT.glob(pattern)}
    return sorted(str(path.relative_to(ROOT)) for path in found if not path.name.startswith(OTHER_TESTS))


def _put_first(source: Path) -> None:
    os.environ["PYTHONPATH"] = str(source)
    sys.path.insert(0, str(source))
    os.chdir(ROOT)


def _conclude(results: Iterable[dict[str, Any]]) -> None:
    tried = [each for each in results if each["outcome"] != "no program"]
    left = list(filter(_survived, tried))
    for each in sorted(left, key=lambda each: (each["file"], each["line"])):
        print(f"{each['outcome']}: {each['file']}:{each['line']}: {each['what']}")
    print(f"{len(tried) - len(left)} of {len(tried)} killed: {1 - len(left) / max(len(tried), 1):.1%}")


if __name__ == "__main__":
    main()
