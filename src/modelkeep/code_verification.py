"""Code and models of Apple's platforms on disk: found, read and verified, on any system."""

from __future__ import annotations

import os
import time
from pathlib import Path

from modelkeep.errors import MalformedError, TamperedError
from modelkeep.posture.apple.bundle import verify_bundle
from modelkeep.posture.apple.code import CodeSignature, verify_code
from modelkeep.storage import open_regular, path_of, words_for

_MARKS = ("Contents/_CodeSignature", "_CodeSignature")


class DiskFiles:
    """The files below a folder; links are not followed.

    Args:
        folder: the bundle.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = frozenset(_walk(folder))

    def names(self) -> frozenset[str]:
        """Returns the paths of all files and links."""
        return self._names

    def read(self, name: str) -> bytes:
        """Returns a file's content.

        Raises:
            StorageError: it cannot be read.
        """
        path = self._folder / name
        with words_for(path), os.fdopen(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return file.read()

    def link(self, name: str) -> str | None:
        """Returns where a link leads, or None for a file."""
        path = self._folder / name
        return str(path.readlink()) if path.is_symlink() else None


def verify_apple(
    path: str | os.PathLike[str], *, team: str | None = None, now: int | None = None
) -> CodeSignature:
    """Checks a Mach-O file, a bundle, or a model (``.mlmodelc``, ``.mlpackage``) within a bundle.

    A model has no signature of its own: the bundle around it is checked, whose list of resources covers it.

    Args:
        path: file, bundle or model.
        team: the team that must have signed; None accepts any that Apple vouches for.
        now: seconds since 1970-01-01 UTC; the system's time by default.

    Raises:
        StorageError: a file cannot be read.
        UntrustedSignerError: signed ad hoc, by another team, or not below Apple's root.
        TamperedError: code or a resource was changed, removed or added.
        KeepError: see `modelkeep.posture.apple.code.verify_code`.
    """
    place = path_of(path)
    now = int(time.time()) if now is None else now
    with words_for(path):
        place.stat()
    bundle = _bundle_of(place)
    if bundle is not None:
        signature = _verify_within(bundle, place, now)
    elif place.is_dir():
        raise MalformedError(
            f"{path}: not within a signed bundle", hint="a model is signed by the app it lies in"
        )
    else:
        signature = verify_code(memoryview(DiskFiles(place.parent).read(place.name)), now)
    signature.require(team)
    return signature


def _verify_within(bundle: Path, place: Path, now: int) -> CodeSignature:
    files = DiskFiles(bundle)
    inner = place.resolve().relative_to(bundle.resolve()).as_posix()
    if inner != "." and not any(name == inner or name.startswith(f"{inner}/") for name in files.names()):
        raise TamperedError(f"{place}: holds nothing that could be signed")
    return verify_bundle(files, now)


def _bundle_of(place: Path) -> Path | None:
    """Returns the outermost signed bundle that a path lies in, or None."""
    absolute = place.resolve()
    folders = [absolute, *absolute.parents] if absolute.is_dir() else list(absolute.parents)
    signed = [each for each in folders if any((each / mark).is_dir() for mark in _MARKS)]
    return signed[-1] if signed else None


def _walk(folder: Path) -> list[str]:
    found = []
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in [*names, *links]]
    return found
