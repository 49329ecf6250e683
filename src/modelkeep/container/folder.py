"""The folder form of a bundle: the same files, as any tar unpacks them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelkeep.container.order import Order, archive_order
from modelkeep.container.place import Place
from modelkeep.errors import MalformedError, UsageError
from modelkeep.storage import words_for

# Links are never followed, and opening a pipe must fail instead of waiting for a writer.
_READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_READ_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW


class Folder:
    """A bundle as a folder with the same files, as `tar` unpacks them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with words_for(path):
            self._descriptor: int | None = os.open(path, os.O_DIRECTORY)
        try:
            with words_for(path):
                self.sizes = self._scan()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def open(self, name: str) -> Iterator[Place]:
        """See `Container.open`."""
        with words_for(self.path / name):
            folder = self._open_folder(name)
            try:
                descriptor = os.open(name.rpartition("/")[2], _READ_FILE, dir_fd=folder)
            finally:
                os.close(folder)
            try:
                yield Place(descriptor, 0, self.sizes[name])
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """See `Container.close`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open_folder(self, name: str) -> int:
        if self._descriptor is None:
            # Without it the names would be looked up in the working directory.
            raise UsageError("this bundle is closed", hint="open it again")
        folder = name.rpartition("/")[0] or "."
        return os.open(folder, _READ_FOLDER, dir_fd=self._descriptor)

    def _scan(self) -> dict[str, int]:
        found = dict(self._files_in(""))
        order = Order()
        sizes = {name: found[name] for name in sorted(found, key=archive_order)}
        for name, size in sizes.items():
            order.check(name, size)
        order.finish()
        return sizes

    def _files_in(self, folder: str) -> list[tuple[str, int]]:
        descriptor = self._open_folder(f"{folder}x")
        try:
            with os.scandir(descriptor) as entries:
                found = [file for entry in entries for file in self._entry(folder, entry)]
        finally:
            os.close(descriptor)
        if not found:
            raise MalformedError("bundle: a folder is empty")
        return found

    def _entry(self, folder: str, entry: os.DirEntry[str]) -> list[tuple[str, int]]:
        name = folder + entry.name
        if entry.is_file(follow_symlinks=False):
            return [(name, entry.stat(follow_symlinks=False).st_size)]
        if entry.is_dir(follow_symlinks=False) and not folder:
            return self._files_in(f"{name}/")
        raise MalformedError(f"bundle: {name!r} is neither a file nor a folder of a bundle")
