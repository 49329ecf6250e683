"""Power cuts: what a disk may hold afterwards, at every moment of some work.

A model of what file systems promise, and not more: a file's content is there after it was synced, a name
after its folder was. Whatever else was done may be there or not. Two of the many outcomes are played for each
moment: nothing that was not synced is there; or all names are, and contents lack what was not synced.
With `torn` there is a third one: of what was not synced, every other page.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CHANGES = ("fsync", "fdatasync", "replace", "rename", "link", "unlink", "mkdir", "rmdir")

_PAGE = 4096

Image = dict[str, bytes | None]  # path below the root -> content, None for folders


class PowerCuts:
    """Watches a folder while something works in it.

    Attributes:
        events: what was done, in words: ``fsync`` with file or folder, and the changes of names.
        images: what may be there after a cut, each once, in the order of the moments.
        last: the two images for a cut right after the work.
    """

    def __init__(self, root: Path, *, torn: bool = False) -> None:
        self.root = root
        self._torn = torn
        self.events: list[str] = []
        self.images: list[Image] = []
        self.last: list[Image] = []
        self._held: list[int] = []
        self._contents: dict[int, bytes] = {}
        # By the folder's number: it keeps what is in it when it gets another name.
        self._names = self._folders()
        for path in self._files():
            self._contents[path.stat().st_ino] = path.read_bytes()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Takes images during a `with` block, which changes nothing about what is done."""
        with pytest.MonkeyPatch.context() as patch:
            for name in (*_CHANGES, *(["ftruncate"] if self._torn else [])):
                patch.setattr(os, name, self._watched(name, getattr(os, name)))
            yield
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()

    def present(self) -> Image:
        """Returns what is there now."""
        found: Image = {}
        for path in sorted(self.root.rglob("*")):
            found[path.relative_to(self.root).as_posix()] = None if path.is_dir() else path.read_bytes()
        return found

    def restore(self, image: Image) -> None:
        """Puts an image into the folder's place."""
        shutil.rmtree(self.root)
        self.root.mkdir(mode=0o700)
        for name, content in image.items():
            path = self.root / name
            if content is None:
                path.mkdir(mode=0o700, exist_ok=True)
            else:
                path.write_bytes(content)
                path.chmod(0o600)

    def _watched(self, name: str, really: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            result = really(*arguments, **options)
            self._note(name, arguments)
            return result

        return call

    def _note(self, name: str, arguments: tuple[object, ...]) -> None:
        # A folder below another one is named by its descriptor alone.
        is_sync = name in ("fsync", "fdatasync")
        place = f"/proc/self/fd/{arguments[0]}" if isinstance(arguments[0], int) else str(arguments[-1])
        if not Path(place).resolve().is_relative_to(self.root):
            return
        self.events.append(f"{name} {self._sync(Path(place))}" if is_sync else name)
        self._hold()
        top = self.root.stat().st_ino
        self.last = [self._image(names, top) for names in (self._names, self._folders())]
        if self._torn:
            self.last.append({path: self._half_written(path, it) for path, it in self.last[1].items()})
        self.images += [image for image in self.last if image not in self.images]

    def _sync(self, place: Path) -> str:
        if not place.is_dir():
            self._contents[place.stat().st_ino] = place.read_bytes()
            return "file"
        number = place.stat().st_ino
        self._names[number] = self._folders()[number]
        return "folder"

    def _half_written(self, path: str, content: bytes | None) -> bytes | None:
        """Returns a content of which every other page is what was synced, and the others what was written."""
        if content is None:
            return None
        written = bytearray((self.root / path).read_bytes())
        synced = content.ljust(len(written), b"\0")[: len(written)]
        for start in range(0, len(written), 2 * _PAGE):
            written[start : start + _PAGE] = synced[start : start + _PAGE]
        return bytes(written)

    def _hold(self) -> None:
        # The number of a file that is gone would be given to the next one, which has synced nothing.
        self._held += [os.open(path, os.O_PATH) for path in self._files()]

    def _image(self, names: dict[int, dict[str, int]], folder: int, above: str = "") -> Image:
        image: Image = {}
        for name, number in names.get(folder, {}).items():
            if number < 0:
                image[above + name] = None
                image |= self._image(names, -number, f"{above}{name}/")
            else:
                image[above + name] = self._contents.get(number, b"")
        return image

    def _folders(self) -> dict[int, dict[str, int]]:
        """Returns, by the number of each folder, the names in it with their numbers, negative for folders."""
        found = {}
        for folder, below, files in os.walk(self.root):
            numbers = {name: Path(folder, name).lstat().st_ino for name in [*below, *files]}
            signed = {each: -number if each in below else number for each, number in numbers.items()}
            found[Path(folder).stat().st_ino] = signed
        return found

    def _files(self) -> Iterator[Path]:
        return (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())


def killed_at(step: int, work: Callable[[], object], *more: tuple[object, str]) -> bool:
    """Does `work` in a process that is killed before its step `step`; returns whether it came so far.

    Args:
        step: counted from 1: syncs, changes of names, and calls of `more`.
        work: what to do.
        more: objects or classes, and the names of methods that are steps, too.
    """
    child = os.fork()
    if child == 0:
        try:
            _die_at(step, ((os, name) for name in _CHANGES), more)
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _die_at(step: int, *places: Iterator[tuple[object, str]] | tuple[tuple[object, str], ...]) -> None:
    steps = iter(range(1, step + 1))

    def counted(really: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if next(steps, step) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return really(*arguments, **options)

        return call

    for place in places:
        for owner, name in place:
            setattr(owner, name, counted(getattr(owner, name)))
