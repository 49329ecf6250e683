"""Puts the pages of the repository together for `mkdocs build`: links between them stay as they are.

    python tools/site.py build/site-source

READMEs become the index of their folder, and docs/api.md is made of what the package exports.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PAGES = ("*.md", "docs/**/*.md", "docs/*.svg", "spec/*.md", "android/*.md", "vectors/*.md")
# What pages link to besides: shown as files.
_FILES = (
    "examples/**/*",
    "android/sample/**/*.kt",
    "android/api/*.api",
    "src/modelkeep/isolation/system_calls.py",
    "LICENSE",
)
_NOTEBOOKS = ("examples/*.ipynb",)
_README = re.compile(r"(^|[(/])README\.md\b")
_FOLDER = re.compile(r"\]\(((?:\.\./|[\w-]+/)+)\)")


def main(target: Path) -> None:
    """Writes the pages into a new folder."""
    shutil.rmtree(target, ignore_errors=True)
    for source in _found(_PAGES):
        _write(target / _README.sub(r"\1index.md", str(source)), _linked(source))
    for source in _found(_FILES):
        (target / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, target / source)
    for source in _found(_NOTEBOOKS):
        _write(target / source.with_suffix(".md"), "\n\n".join(_cells(source)) + "\n")
    _write(target / "docs" / "api.md", _reference())


def _found(patterns: tuple[str, ...]) -> list[Path]:
    every = (path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file())
    return [path.relative_to(ROOT) for path in every if "__pycache__" not in path.parts]


def _linked(source: Path) -> str:
    """Returns a page whose links to READMEs and folders lead to the pages that these become."""
    text = _README.sub(r"\1index.md", (ROOT / source).read_text())
    return _FOLDER.sub(lambda found: f"]({_index(source, found[1])})", text)


def _index(source: Path, folder: str) -> str:
    has_page = (ROOT / source.parent / folder / "README.md").is_file()
    return f"{folder}index.md" if has_page else f"{folder}{_first(ROOT / source.parent / folder)}"


def _first(folder: Path) -> str:
    pages = (path for kind in ("*.md", "*.kt") for path in sorted(folder.rglob(kind)))
    return next((str(path.relative_to(folder)) for path in pages), "")


def _cells(source: Path) -> Iterator[str]:
    """Yields what a notebook holds as Markdown: its words, its code and what came of it."""
    for cell in json.loads((ROOT / source).read_text())["cells"]:
        text = "".join(cell["source"])
        yield text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for output in cell.get("outputs", ()):
            yield f"```text\n{_shown(output).rstrip()}\n```"


def _shown(output: Mapping[str, Any]) -> str:
    return "".join(output["text"] if "text" in output else output["data"]["text/plain"])


def _reference() -> str:
    parts = [f"::: modelkeep.{home}.{name}\n" for name, home in sorted(_exports().items())]
    return "# Names in Python\n\nAll of them are imported from `modelkeep`.\n\n" + "\n".join(parts)


def _exports() -> dict[str, str]:
    """Returns the module of each exported name, as the imports for type checkers say it."""
    tree = ast.parse((ROOT / "src/modelkeep/__init__.py").read_text())
    found = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    named = ((alias.name, str(node.module)) for node in found for alias in node.names)
    ours = {name: home.removeprefix("modelkeep.") for name, home in named if home.startswith("modelkeep.")}
    return {name: home for name, home in ours.items() if name[0].isalpha()}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
