"""After closing, no weight and no key is in memory: looked at from another process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tools import leftovers, marked_models, memory_scan
from tools.leftovers import CASES, Case, Finding, Sealed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# Every way of opening, and every kind of layer on the runtime that copies most; the rest takes minutes.
ALWAYS = {"products", "convolutions", "lstm"}


def parameters() -> Iterator[Any]:
    for case in CASES:
        fast = case.kind in ALWAYS and (case.kind == "products" or case.module == "onnxruntime")
        name = f"{case.kind}, {case.name}, {case.isolation}"
        yield pytest.param(case, id=name, marks=() if fast else pytest.mark.slow)


def needs_root(case: Case) -> bool:
    return case.isolation != "in-process" and os.geteuid() != 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("leftovers")


@pytest.fixture(scope="module")
def prepared(folder: Path) -> Iterator[dict[str, Sealed]]:
    yield {}


@pytest.mark.parametrize("case", list(parameters()))
def test_nothing_is_left(case: Case, folder: Path, prepared: dict[str, Sealed]) -> None:
    pytest.importorskip(case.module)
    if needs_root(case):
        pytest.skip("only root may read the isolated process")
    own = folder / f"{case.kind}-{case.suffix[1:]}"
    if case.file not in prepared:
        own.mkdir()
        prepared |= leftovers.prepare(own, [case])
    finding = leftovers.measure(case, prepared[case.file], own)
    assert leftovers.clean(finding), finding
    copies = finding.opened.weights / finding.weights
    if case.isolation == "secret":
        assert finding.opened.keys == 0
        assert copies < 0.2
    else:
        assert copies > 0.9
    if case.name == "ONNX Runtime, single-copy":
        assert copies < 1.2


def test_the_scanner_finds_marked_weights_in_any_order() -> None:
    weights = marked_models.Marked()(64, 64)
    turned = np.ascontiguousarray(weights.reshape(8, 8, 8, 8).transpose(2, 0, 3, 1))
    chunk = b"odd" + weights.tobytes() + bytes(9) + turned.tobytes() + b"end"
    assert memory_scan.marked(chunk) == 2 * weights.size


def test_the_scanner_finds_nothing_in_other_numbers() -> None:
    numbers = np.random.default_rng(1).standard_normal(500_000, np.float32)
    assert memory_scan.marked(numbers.tobytes()) == 0
    assert memory_scan.marked(b"abc") == 0


def test_the_scanner_sees_this_process() -> None:
    key = os.urandom(32)
    weights = marked_models.Marked()(1024, 16)
    found = memory_scan.look(os.getpid(), key)
    assert found.weights >= weights.size
    assert found.keys >= 1


def test_the_page_lists_every_case() -> None:
    found = memory_scan.Found(1, 1)
    page = leftovers.document([Finding(case, 1, found, found, gone=True) for case in CASES])
    rows = [line.split("|")[1:4] for line in page.splitlines() if line.startswith("| ")][1:]
    assert [tuple(cell.strip() for cell in row) for row in rows] == [
        (case.kind, case.name, case.isolation) for case in CASES
    ]
    written = leftovers.DOCUMENT.read_text().splitlines()
    # ExecuTorch brings gigabytes: docs/runtimes.md says what was found where it was there.
    measured = [case for case in CASES if case.module != "executorch"]
    assert all(
        any(line.startswith(f"| {c.kind} | {c.name} | {c.isolation} |") for line in written) for c in measured
    )
