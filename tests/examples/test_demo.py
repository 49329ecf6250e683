"""The demonstration runs with any ONNX model, and shows what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.needs import require
from support.workshop import Workshop

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"
REFUSALS = (
    "NotForThisDeviceError",
    "TamperedError",
    "UntrustedSignerError",
    "WrongModelError",
    "ExpiredError",
    "InputError",
)


def test_the_demo_does_what_it_says_with_a_model_of_ones_own(workshop: Workshop) -> None:
    command = [sys.executable, str(DEMO), str(workshop.model(size=8))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal bit for bit") == 2
    assert [name for name in REFUSALS if name not in done.stdout] == []
    assert "plain runtime: accepts it; 1 of 8 output numbers are NaN" in done.stdout


@pytest.mark.slow
def test_the_demo_of_an_update_does_what_it_says() -> None:
    require("swtpm")
    pytest.importorskip("tpm2_pytss")
    command = [sys.executable, str(DEMO.with_name("demo_update.py"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " answered, 0 dropped" in done.stdout
    assert "were there from an earlier try" in done.stdout
    assert "refused: golden case 0: " in done.stdout
    assert "RollbackError" in done.stdout
