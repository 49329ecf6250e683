"""After closing, no weight and no key is in memory: looked at from another process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tools import leftovers
from tools.leftovers import CASES, Case, Finding, Windows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# What is promised without a process of its own.
HELD = [case for case in CASES if case.name != "OpenVINO, ONNX" or case.isolation != "in-process"]


def needs_root(case: Case) -> bool:
    return case.isolation != "in-process" and os.geteuid() != 0


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, tuple[Path, bytes]]]]:
    folder = tmp_path_factory.mktemp("leftovers")
    yield folder, leftovers.prepare(folder, leftovers.installed(HELD))


@pytest.fixture(scope="module")
def windows() -> Windows:
    return Windows(leftovers.marked_weights())


@pytest.mark.parametrize("case", HELD, ids=lambda case: f"{case.name}, {case.isolation}")
def test_nothing_is_left(
    case: Case, sealed: tuple[Path, dict[str, tuple[Path, bytes]]], windows: Windows
) -> None:
    pytest.importorskip(case.module)
    if needs_root(case):
        pytest.skip("only root may read the isolated process")
    folder, bundles = sealed
    bundle, key = bundles[case.file]
    finding = leftovers.measure(case, bundle, folder, windows, key)
    assert finding.closed == leftovers.Found(0.0, 0)
    assert finding.gone
    if case.isolation == "secret":
        assert finding.opened == leftovers.Found(0.0, 0)
    else:
        assert finding.opened.copies > 0.9


def test_the_scanner_finds_what_is_there(windows: Windows) -> None:
    weights = leftovers.marked_weights()
    chunk = b"odd" + weights[0].tobytes() + weights[1].T.tobytes() + b"end"
    assert windows.hits(chunk) >= windows.count // 2
    assert windows.hits(bytes(1000)) == 0


def test_the_scanner_sees_this_process(windows: Windows) -> None:
    key = os.urandom(32)
    weights = np.concatenate(leftovers.marked_weights())
    found = leftovers.look(os.getpid(), windows, key)
    assert weights.size
    assert found.copies >= 1
    assert found.keys >= 1


def test_the_page_lists_every_case() -> None:
    found = leftovers.Found(1.0, 1)
    page = leftovers.document([Finding(case, found, found, gone=True) for case in CASES])
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ")][1:]
    assert [(name.strip(), isolation.strip()) for name, isolation in rows] == [
        (case.name, case.isolation) for case in CASES
    ]
    written = leftovers.DOCUMENT.read_text().splitlines()
    assert all(any(line.startswith(f"| {c.name} | {c.isolation} |") for line in written) for c in CASES)
