"""Coverage-guided fuzzing of the readers, with atheris: every reader in turn, in a process of its own.

    python tests/fuzz/coverage_guided.py [--seconds 60] [--readers NAME,NAME] [--folder build/fuzz]

What libFuzzer learned stays in the folder and is where the next run begins. An exception that is no
KeepError, a run of ten seconds, or half a gigabyte of memory ends a reader with exit code 1; the input
that did it lies in the folder then.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["modelkeep"]):
    from fuzz.corpus import good_documents
    from fuzz.fuzz_readers import READERS, survive
    from fuzz.mutator import Mutator

LIMITS = ("-timeout=10", "-rss_limit_mb=512", "-max_len=65536", "-print_final_stats=1", "-reload=0")
FINAL = re.compile(r"stat::number_of_executed_units: (\d+)")
COVERAGE = re.compile(r"cov: (\d+)")


def main() -> int:
    """Fuzzes all readers, or within a child one of them; returns the exit code."""
    arguments = _arguments()
    if arguments.one:
        _fuzz(arguments.one, Path(arguments.folder), arguments.seconds)
    readers = arguments.readers.split(",")
    _write_corpora(Path(arguments.folder), readers)
    failures = [reader for reader in readers if not _run(reader, arguments.folder, arguments.seconds)]
    for reader in failures:
        print(f"{reader}: FAILED, see the log and the crash-* file in {arguments.folder}")
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing of the readers.")
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--readers", default=",".join(READERS), help="names, with commas between them")
    parser.add_argument("--folder", default="build/fuzz", help="what is learned, and logs")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def _write_corpora(folder: Path, readers: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        corpora = good_documents(Path(scratch))
    for reader in readers:
        seeds = _corpus(folder, reader)
        seeds.mkdir(parents=True, exist_ok=True)
        for number, document in enumerate(corpora[reader]):
            (seeds / f"good-{number}").write_bytes(document)


def _run(reader: str, folder: str, seconds: int) -> bool:
    """Fuzzes one reader in a process that may crash; prints one line and returns whether it survived."""
    command = [sys.executable, __file__, "--one", reader, "--folder", folder, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    log = done.stdout + done.stderr
    (Path(folder) / f"{_name(reader)}.log").write_text(log)
    covered = COVERAGE.findall(log)
    growth = f"coverage {covered[0]} -> {covered[-1]}" if covered else "no coverage"
    executions = FINAL.findall(log)
    print(f"{reader}: {executions[-1] if executions else '?'} executions, {growth}", flush=True)
    return done.returncode == 0


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def _fuzz(reader: str, folder: Path, seconds: int) -> None:
    """Hands this process over to libFuzzer, which ends it."""
    corpus = _corpus(folder, reader)
    good = [document.read_bytes() for document in sorted(corpus.glob("good-*"))]

    def mutate(data: bytes, largest: int, seed: int) -> bytes:
        # Half of the mutants keep the form of JSON, so that something gets past its parser.
        if seed % 2:
            return bytes(atheris.Mutate(data, largest))
        return Mutator([data, *good], seed).mutant()[:largest]

    places = [f"-artifact_prefix={folder}/{_name(reader)}-", f"-max_total_time={seconds}"]
    command = [sys.argv[0], str(corpus), *LIMITS, *places]
    atheris.Setup(command, lambda data: survive(reader, data), custom_mutator=mutate)
    atheris.Fuzz()


def _corpus(folder: Path, reader: str) -> Path:
    return folder / f"{_name(reader)}.corpus"


def _name(reader: str) -> str:
    return reader.replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main())
