"""Where the states of device keys are: in one place of the account, by the public key.

Neither the path of a key file nor HOME decides, so that a key has one state whatever it is reached by.
Source: spec/install-v1.md, "Device state".
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from modelkeep.errors import StorageError

FOLDER_VARIABLE = "MODELKEEP_STATE"
SYSTEM_FOLDER = Path("/var/lib/modelkeep/state")
_ROOT = 0


def device_id(public: bytes) -> bytes:
    """Returns the 32 bytes that a device is known by: SHA-256 of its public key."""
    return hashlib.sha256(public).digest()


def state_path(public: bytes) -> Path:
    """Returns where the state of the key with this public key is."""
    return state_folder() / f"{device_id(public).hex()}.state"


def refuse_shared(folder: Path) -> None:
    """Refuses a folder in which others could take states away, or put locks of their own.

    Raises:
        StorageError: it belongs to another user, or others may write into it.
    """
    try:
        status = folder.stat()
    except OSError:  # whoever reads or writes there says what is wrong with it
        return
    if status.st_uid not in (_ROOT, os.geteuid()):
        raise StorageError(
            f"{folder}: belongs to another user, who could take states away",
            hint=f"let {FOLDER_VARIABLE} name a folder of its own",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StorageError(
            f"{folder}: others may take states away there",
            hint=f"chmod go-w {folder}, or let {FOLDER_VARIABLE} name a folder of its own in it",
        )


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
