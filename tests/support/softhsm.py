"""A PKCS#11 token of one's own: SoftHSM, with its objects in a folder."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.needs import missing, require

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib/libsofthsm2.so")
PIN, OFFICER_PIN = "correct-4711", "officer-0815"


def module() -> str:
    """Returns the path of SoftHSM's library; skips the test when it is not installed."""
    require("softhsm2-util")
    try:
        import pkcs11  # noqa: F401
    except ImportError:
        missing("python-pkcs11 is not installed (pip install modelkeep[pkcs11])")
    found = [path for path in MODULES if Path(path).exists()]
    if not found:
        missing("SoftHSM's library is not where it usually is")
    return found[0]


def configure(folder: Path) -> Path:
    """Returns SoftHSM's configuration for tokens below `folder`."""
    tokens = folder / "tokens"
    tokens.mkdir(parents=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        "slots.removable = false\n"
    )
    return configuration


def initialise(label: str, environment: Mapping[str, str] | None = None) -> None:
    """Makes a token; SOFTHSM2_CONF, of this process unless given, says where."""
    command = ["softhsm2-util", "--init-token", "--free", "--label", label]
    command += ["--so-pin", OFFICER_PIN, "--pin", PIN]
    subprocess.run(command, check=True, capture_output=True, env=environment)
