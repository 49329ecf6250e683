"""The documentation holds: its commands parse, its Python compiles, the names it uses exist."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest

import modelkeep
from modelkeep.cli.parser import build_parser
from modelkeep.errors import UsageError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "spec").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<mark>```+)[ ]*(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=mark)[ ]*$", re.DOTALL | re.MULTILINE
)
SHELL = {"", "sh", "shell", "bash", "console"}
REDIRECTIONS = {">", ">>", "<", "|", "&&", "||", ";", "2>", "&"}


def blocks(page: Path, languages: set[str]) -> list[str]:
    found = FENCE.finditer(page.read_text())
    return [match["body"] for match in found if match["language"].lower() in languages]


def commands(page: Path) -> list[str]:
    """Returns the lines of shell blocks that run modelkeep; lines that end with a backslash go on."""
    text = "\n".join(blocks(page, SHELL)).replace("\\\n", " ")
    lines = [line.strip().removeprefix("$ ") for line in text.splitlines()]
    return [line for line in lines if line.startswith("modelkeep ")]


def arguments_of(line: str) -> list[str]:
    words = shlex.split(line, comments=True)[1:]
    end = next((place for place, word in enumerate(words) if word in REDIRECTIONS), len(words))
    return words[:end]


def parse(line: str) -> None:
    try:
        build_parser().parse_args(arguments_of(line))
    except UsageError as error:
        raise AssertionError(f"{line}: {error}") from None


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, {language})]


def test_extras_are_named_where_people_look_for_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtimes = set(project["entry-points"]["modelkeep.runtimes"]) & set(project["optional-dependencies"])
    wanted = {"README.md": project["optional-dependencies"], "docs/runtimes.md": runtimes}
    for page, extras in wanted.items():
        text = (ROOT / page).read_text()
        assert not [each for each in extras if f"`{each}`" not in text and f"modelkeep[{each}]" not in text]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_parses(page: Path) -> None:
    for line in commands(page):
        parse(line)


@pytest.mark.parametrize("page", pages_with("python"), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_python_block_compiles_and_uses_names_that_exist(page: Path) -> None:
    for source in blocks(page, {"python"}):
        assert unknown_names(ast.parse(source)) == set()


def unknown_names(tree: ast.Module) -> set[str]:
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"mk", "modelkeep"}
    }
    return {name for name in used if not hasattr(modelkeep, name)}


def test_a_command_that_does_not_parse_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\n$ modelkeep seal m.onnx \\\n    -r a.pub --frob > out  # now\n```\n")
    (line,) = commands(page)
    with pytest.raises(AssertionError):
        parse(line)
    parse(line.replace("--frob", "-s key.pem"))


def test_a_name_that_does_not_exist_would_be_noticed() -> None:
    assert unknown_names(ast.parse("import modelkeep as mk\nmk.seal(mk.Unicorn)")) == {"Unicorn"}


def test_every_error_and_every_code_of_a_finding_has_its_line() -> None:
    page, package = (ROOT / "docs/errors.md").read_text(), ROOT / "src/modelkeep"
    classes = set(re.findall(r"^class (\w+)", (package / "errors.py").read_text(), re.MULTILINE))
    checks = [package / "inputs.py", *(package / "guard").glob("*.py")]
    codes = {code for path in checks for code in re.findall(r"\bFinding\(\s*\"([^\"]+)", path.read_text())}
    assert set(re.findall(r"`(?:mk\.)?(\w+Error)`", page)) == classes
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == codes


def headings(page: Path) -> set[str]:
    """Returns the anchors of a page, as the site and code hosts make them of its headings."""
    found = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in found}


def broken_links(page: Path) -> list[str]:
    links = re.findall(r"\]\((?!https?:)([^)\s#]*)#?([^)\s]*)\)", FENCE.sub("", page.read_text()))
    return [
        f"{path}#{anchor}"
        for path, anchor in links
        if not leads(page.parent / path if path else page, anchor)
    ]


def leads(target: Path, anchor: str) -> bool:
    return target.exists() and (not anchor or anchor in headings(target))


def test_every_link_leads_somewhere() -> None:
    pages = {*PAGES, *ROOT.glob("*.md"), *ROOT.glob("android/*.md"), *ROOT.glob("vectors/*.md")}
    found = {str(page.relative_to(ROOT)): broken_links(page) for page in pages}
    assert {page: links for page, links in found.items() if links} == {}


def test_a_link_that_leads_nowhere_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing\n[a](#one-thing) [b](page.md#other) [c](none.md)\n")
    assert broken_links(page) == ["page.md#other", "none.md#"]
