"""The threat model names tests that exist, and all tests of attacks are named in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "spec" / "threat-model.md"
ATTACKS = ROOT / "tests" / "attacks"

_NAMED = re.compile(r"`(tests/[a-z_/]+\.py)::(test_\w+)`")
_RULE = re.compile(r"\|(?:-+\|)+")


def _rows() -> list[str]:
    """Returns the rows of all tables, without their heads."""
    lines = DOCUMENT.read_text().splitlines()
    heads = {number - 1 for number, line in enumerate(lines) if _RULE.fullmatch(line)}
    rows = [line for number, line in enumerate(lines) if line.startswith("|") and number not in heads]
    return [row for row in rows if not _RULE.fullmatch(row)]


def _tests_in(file: Path) -> set[tuple[str, str]]:
    functions = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
    path = file.relative_to(ROOT).as_posix()
    return {(path, function.name) for function in functions if function.name.startswith("test_")}


def _named() -> set[tuple[str, str]]:
    return {pair for row in _rows() for pair in _NAMED.findall(row)}


def _names_a_test(row: str) -> bool:
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    return len(cells) == 3 and all(cells) and _NAMED.sub("", cells[2]).strip(" ,") == ""


def test_every_row_names_a_test() -> None:
    assert [row for row in _rows() if not _names_a_test(row)] == []


def test_every_named_test_exists() -> None:
    existing = {test for file in {ROOT / path for path, _name in _named()} for test in _tests_in(file)}
    assert _named() - existing == set()


def test_every_attack_is_named() -> None:
    attacks = {test for file in ATTACKS.glob("test_*.py") for test in _tests_in(file)}
    assert len(attacks) > 100
    assert attacks - _named() == set()
