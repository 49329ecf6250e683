"""Tutorials work as they are printed: every block of shell, one after the other, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.needs import require

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
# In this order, since later ones take what the first one made.
PAGES = ("first-model.md", "version-2.md", "camera.md", "tpm.md")
REFUSED = "# each of these is refused\n"


def blocks(page: str) -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", (FOLDER / page).read_text(), re.DOTALL):
        # What is installed is what is tested.
        lines = [line for line in block.splitlines() if not line.startswith(("pip ", "sudo "))]
        yield "\n".join(lines) + "\n"


def script(page: str) -> str:
    parts = []
    for block in blocks(page):
        expected = block.replace(REFUSED, "").splitlines() if REFUSED in block else []
        parts.append("".join(f"! {line} || exit 99\n" for line in expected) or block)
    return "set -eu\n" + "".join(parts)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    assert run("first-model.md", folder).returncode == 0
    return folder


def run(page: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "MODELKEEP_STATE": str(folder / "states")}
    return subprocess.run(
        ["bash", "-c", script(page)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES[1:3])
def test_a_tutorial_works_as_printed(desk: Path, page: str) -> None:
    result = run(page, desk)
    assert result.returncode == 0, result.stderr


def test_the_tutorial_of_the_tpm_works_as_printed(desk: Path) -> None:
    require("swtpm_setup", "swtpm-tools")
    pytest.importorskip("tpm2_pytss")
    result = run("tpm.md", desk)
    assert result.returncode == 0, result.stderr


def test_every_tutorial_is_tried() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.md")) == sorted(PAGES)
