"""Files and folders that are being written: under a name of their own until they are complete.

Whoever writes holds a lock, which ends with the process however that ends. So what a power cut or a
kill left behind can be told from what somebody is writing just now, and the next writer removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from pathlib import Path

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


def new_file(target: Path, mode: int) -> tuple[Path, int]:
    """Returns a new file in the folder of `target`, and its locked descriptor.

    Raises:
        OSError: it cannot be made.
    """
    _remove_left_behind(target)
    while True:
        path = _name_beside(target)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, mode)
        if _is_ours(path, descriptor):
            return path, descriptor
        os.close(descriptor)


def new_folder(target: Path) -> tuple[Path, int]:
    """Returns a new folder beside `target`, for its owner alone, and its locked descriptor.

    Raises:
        OSError: it cannot be made.
    """
    _remove_left_behind(target)
    while True:
        path = _name_beside(target)
        path.mkdir(mode=0o700)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
        if _is_ours(path, descriptor):
            return path, descriptor
        os.close(descriptor)


def _name_beside(target: Path) -> Path:
    # Fifty characters are at most 200 of the 255 bytes that a name may have.
    return target.with_name(f".{target.name[:50]}.{secrets.token_hex(6)}.part")


def _is_ours(path: Path, descriptor: int) -> bool:
    """Locks what was just made; False if somebody took it for left behind before that."""
    with contextlib.suppress(OSError):  # a file system without locks: then nothing there is ever removed
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _remove_left_behind(target: Path) -> None:
    wanted = re.compile(rf"\.{re.escape(target.name[:50])}\.[0-9a-f]{{12}}\.part")
    # What cannot be removed does no harm here; writing says what is wrong with the place.
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if wanted.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    _remove_if_left_behind(Path(entry.path))


def _remove_if_left_behind(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    finally:
        os.close(descriptor)
