"""Programs that Apple's own tools signed, out of packages of others."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

# Developer ID, hardened, with timestamp; and ad hoc, as linkers do it.
SIGNED, AD_HOC = "sentry-cli==3.8.2", "markupsafe==3.0.4"
TEAM = "97JCY7859U"


def fetched(package: str, folder: Path, ending: str) -> bytes:
    """Returns the file in a package's wheel for macOS whose name ends so."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--platform", "macosx_11_0_arm64", "--python-version", "3.11", "--dest", str(folder), package]
    if subprocess.run(command, capture_output=True, check=False, timeout=120).returncode:
        pytest.skip(f"{package} cannot be fetched")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return wheel.read(next(name for name in wheel.namelist() if name.endswith(ending)))
