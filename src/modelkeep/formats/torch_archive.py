"""What tells files that PyTorch writes: archives of weights, archives of code, and the earlier pickles."""

from __future__ import annotations

import io
from typing import Any

# Pickle protocol 2 and the number that torch.save used to begin with.
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_ZIP = b"PK\x03\x04"
_WEIGHTS, _CODE = "data.pkl", "constants.pkl"


def is_torch(view: memoryview) -> bool:
    """Returns whether a file holds a checkpoint or TorchScript."""
    return bytes(view[: len(_LEGACY)]) == _LEGACY or _holds(view, _WEIGHTS)


def is_torch_script(view: memoryview) -> bool:
    """Returns whether a file holds TorchScript."""
    return _holds(view, _CODE)


def _holds(view: memoryview, member: str) -> bool:
    if bytes(view[:4]) != _ZIP:
        return False
    # A fifth of what it takes to import all formats, and most files are no archives.
    import zipfile

    try:
        with zipfile.ZipFile(io.BufferedReader(MemoryStream(view))) as archive:
            return any(name.endswith(f"/{member}") for name in archive.namelist())
    except Exception:  # zipfile raises much that it does not document
        return False


class MemoryStream(io.RawIOBase):
    """Reads memory as a file, without a copy of all of it."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._position = 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Copies what comes next into `buffer`; returns how much that was."""
        part = self._view[self._position : self._position + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a place and returns it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence]
        self._position = max(0, start + offset)
        return self._position
