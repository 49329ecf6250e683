"""The adapter that documentation shows is installed, conforms, and opens what was sealed for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ADAPTER = Path(__file__).parents[2] / "examples" / "adapter"


def unpacked(place: Path) -> None:
    """Puts into a folder what an installer would put there, which takes no network."""
    project = tomllib.loads((ADAPTER / "pyproject.toml").read_text())
    for module in project["tool"]["hatch"]["build"]["targets"]["wheel"]["include"]:
        shutil.copy(ADAPTER / module, place)
    name, version = project["project"]["name"], project["project"]["version"]
    information = place / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = project["project"]["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{key} = {each[key]}\n" for key in each) for group, each in groups]
    (information / "entry_points.txt").write_text("\n".join(lines))


def installed(place: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place)]
    subprocess.run([*command, str(ADAPTER)], check=True, timeout=300)


@pytest.mark.parametrize("install", [unpacked, pytest.param(installed, marks=pytest.mark.slow)])
def test_the_adapter_is_found_and_conforms(install: Callable[[Path], None], tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    install(place)
    test = shutil.copy(ADAPTER / "test_acme_keep.py", elsewhere)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(elsewhere), test],
        env=os.environ | {"PYTHONPATH": str(place)},
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "14 passed" in done.stdout
