"""What is built for those who install: complete, and the same bytes each time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("build")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def build(target: Path) -> dict[str, Path]:
    command = [sys.executable, "-m", "build", "--outdir", str(target), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    return {path.suffix: path for path in target.iterdir()}


def digests(built: dict[str, Path]) -> dict[str, str]:
    return {suffix: hashlib.sha256(path.read_bytes()).hexdigest() for suffix, path in built.items()}


def check_types(wheel: Path, folder: Path) -> None:
    """Lets mypy see that who installs the wheel is told of a wrong argument, and of nothing else."""
    venv.create(folder / "venv", symlinks=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(packages)
    # What it depends on is here already.
    (packages / "here.pth").write_text(sysconfig.get_path("purelib"))
    user = folder / "user.py"
    user.write_text('import modelkeep as mk\n\nverifier: mk.Verifier = mk.Verifier("p.pub", model=3)\n')
    interpreter = f"--python-executable={folder / 'venv/bin/python'}"
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", interpreter, str(user)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout.count(": error:") == 1 and 'Argument "model" to "Verifier"' in done.stdout, done.stdout


def test_two_builds_are_the_same_bytes_and_complete(tmp_path: Path) -> None:
    first = build(tmp_path / "first")
    assert digests(first) == digests(build(tmp_path / "second"))
    with zipfile.ZipFile(first[".whl"]) as wheel:
        names = wheel.namelist()
    assert "modelkeep/py.typed" in names
    assert [name.rpartition("/")[2] for name in names if "/sboms/" in name] == ["modelkeep.cdx.json"]
    check_types(first[".whl"], tmp_path)
    shared = {name.partition(".data/data/")[2] for name in names if ".data/data/" in name}
    assert shared == {
        "share/bash-completion/completions/modelkeep",
        "share/man/man1/modelkeep.1",
        "share/zsh/site-functions/_modelkeep",
    }
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert modules <= set(names)
