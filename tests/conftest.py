"""Fixtures that every kind of test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelkeep.guard.statistics import kernel_is_installed
from support.needs import missing
from support.swtpm import SoftwareTpm, copy_of, manufacture
from support.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A publisher, a device and a folder to seal models in."""
    return Workshop(tmp_path)


@pytest.fixture(scope="session")
def manufactured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a new software TPM."""
    folder = tmp_path_factory.mktemp("swtpm")
    manufacture(folder)
    return folder


@pytest.fixture
def tpm(manufactured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftwareTpm]:
    """A running software TPM, which tpm2: keys find through the environment."""
    tpm = copy_of(manufactured, tmp_path / "tpm")
    tpm.start()
    monkeypatch.setenv("MODELKEEP_TPM2_TCTI", tpm.tcti)
    yield tpm
    tpm.stop(clean=False)


@pytest.fixture(scope="session")
def kernel() -> None:
    """The compiled kernel; without it, NumPy takes the statistics and has nothing to agree with."""
    if not kernel_is_installed():
        missing("modelkeep-kernel is not installed (pip install ./kernel, which needs cargo)")
