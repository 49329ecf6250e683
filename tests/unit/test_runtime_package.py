"""Packages of runtimes: missing ones, and those that are there and cannot be imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from modelkeep.errors import RuntimeMissingError
from modelkeep.guard.compiled import compiled
from modelkeep.runtimes.package import imported

HINT = "pip install 'modelkeep[acme]'"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_package_that_is_not_there_is_not_installed(folder: Path) -> None:
    for module in ("acme_engine_x", "acme_engine_x.part"):
        with pytest.raises(RuntimeMissingError, match="^acme-engine is not installed$") as refusal:
            imported(module, "acme-engine", HINT)
        assert refusal.value.hint == HINT


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError('libacme.so.1: cannot open shared object file')", "libacme.so.1"),
        ("raise RuntimeError('module compiled against ABI version 1\\nmore')", "against ABI version 1$"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("from sys import nothing", "cannot import name 'nothing'"),
        ("sys", "name 'sys' is not defined"),
    ],
)
def test_a_package_that_cannot_be_imported_is_not_called_missing(folder: Path, code: str, words: str) -> None:
    (folder / "acme_engine_y.py").write_text(code)
    with pytest.raises(RuntimeMissingError, match=f"^acme-engine cannot be imported: .*{words}") as refusal:
        imported("acme_engine_y", "acme-engine", HINT)
    assert HINT in (refusal.value.hint or "")


def test_compiled_code_that_cannot_be_imported_is_done_without_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "modelkeep_statistics.py").write_text("raise ImportError('wrong ELF class: ELFCLASS32')")
    monkeypatch.delitem(sys.modules, "modelkeep_statistics", raising=False)
    assert compiled.__wrapped__() is None
    assert "wrong ELF class" in caplog.text
