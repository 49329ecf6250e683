"""The notebook does what it shows: cell by cell here, and in a kernel of Jupyter where there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "tour.ipynb"
KERNEL = """
import nbclient, nbformat, sys
nbclient.NotebookClient(nbformat.read(sys.argv[1], as_version=4), timeout=300).execute()
"""


def cells() -> list[str]:
    """Returns the cells with code, top to bottom."""
    notebook = json.loads(NOTEBOOK.read_text())
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_runs_and_refuses_what_it_shows_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # It sets one of its own.
    monkeypatch.setenv("MODELKEEP_STATE", os.environ.get("MODELKEEP_STATE", ""))
    names: dict[str, object] = {}
    for cell in cells():
        exec(cell, names)
    refusals = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert refusals == [
        *("NotForThisDeviceError", "TamperedError", "WrongModelError", "InputError"),
        *("InputError", "InputError"),
    ]


@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel() -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    command = [sys.executable, "-c", KERNEL, str(NOTEBOOK)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
