"""Fixtures that every kind of test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A publisher, a device and a folder to seal models in."""
    return Workshop(tmp_path)
