"""Where the states of device keys are: in one place of the account, by the public key.

Neither the path of a key file nor HOME decides, so that a key has one state whatever it is reached by.
Source: spec/install-v1.md, "Device state".
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

FOLDER_VARIABLE = "MODELKEEP_STATE"
SYSTEM_FOLDER = Path("/var/lib/modelkeep/state")


def device_id(public: bytes) -> bytes:
    """Returns the 32 bytes that a device is known by: SHA-256 of its public key."""
    return hashlib.sha256(public).digest()


def state_path(public: bytes) -> Path:
    """Returns where the state of the key with this public key is."""
    return state_folder() / f"{device_id(public).hex()}.state"


def state_folder() -> Path:
    """Returns the folder in which this account remembers things."""
    # Configuration of the device, as the URI of its key is.
    if folder := os.environ.get(FOLDER_VARIABLE):
        return Path(folder)
    home = _home()
    return SYSTEM_FOLDER if home is None else home / ".local" / "state" / "modelkeep"


def _home() -> Path | None:
    """Returns the account's home, which HOME cannot change; None for root and for who has none."""
    try:
        import pwd
    except ImportError:  # Windows has no such list
        return Path.home()
    if os.geteuid() == 0:
        return None
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return None
