"""Small files in which the kernel says what it does, below a root that tests can choose."""

from __future__ import annotations

from pathlib import Path

_LARGEST = 2**20


class System:
    """The files of a running system.

    Args:
        root: where its root folder is.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        """Returns the path of a file; `name` has no slash in front."""
        return self._root / name

    def data(self, name: str) -> bytes | None:
        """Returns a file's content, or None where it is not there or not for us."""
        try:
            with self.path(name).open("rb") as file:
                return file.read(_LARGEST)
        except OSError:
            return None

    def text(self, name: str) -> str | None:
        """Returns a file's text without the line end, or None."""
        data = self.data(name)
        return None if data is None else data.decode("utf-8", "replace").strip()

    def names(self, folder: str) -> list[str]:
        """Returns the names in a folder; none where it is not there."""
        try:
            return sorted(path.name for path in self.path(folder).iterdir())
        except OSError:
            return []
