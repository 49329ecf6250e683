"""KServe's storage initializer for sealed models: ``SOURCE FOLDER [SOURCE FOLDER ...]``.

Fetches and verifies, and holds no key: what lies in the folder afterwards is the sealed file, every byte of
which was signed. Sources are addresses of sealed files: ``keep+https://``, ``keep+http://``, ``keep+file://``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from modelkeep.bundle.arriving import ArrivingBundle
from modelkeep.channels.channel import ByteStream, check_name
from modelkeep.configuration import configured_verifier
from modelkeep.errors import UsageError
from modelkeep.integrations.ending import ends_with_words
from modelkeep.storage import Replacement, words_for, write_at
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.updates.source import Source, source_of
from modelkeep.uri import shown
from modelkeep.visible import visible

_SCHEMES = ("keep+https", "keep+http", "keep+file")
_PREFIX = "keep+"
_EXAMPLE = "keep+https://server/model.keep"


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetches what the pairs of arguments say; whom to trust comes from the settings."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    with ends_with_words():
        if not words or len(words) % 2:
            raise UsageError("arguments are pairs of a source and a folder", hint=f"{_EXAMPLE} /mnt/models")
        for source, folder in zip(words[::2], words[1::2], strict=True):
            path = fetch(source, Path(folder), configured_verifier())
            print(visible(f"verified: {path}"), file=sys.stderr)


def fetch(address: str, folder: Path, verifier: BundleVerifier) -> Path:
    """Writes a sealed model into a folder, of which every byte was verified; returns where.

    Nothing is left there otherwise. What is there under that name is replaced: pods start anew.

    Args:
        address: of the sealed file.
        folder: is there.
        verifier: whom to trust, and which model and release to accept.

    Raises:
        UsageError: no such address.
        UnavailableError: it cannot be fetched or written.
        RefusedError, MalformedError: see `Bundle.verify`; or bytes are not those that were signed.
    """
    source, name = _source(address)
    with Replacement(folder / name, force=True) as new:
        stream = _Recorded(source.open(0), new)
        try:
            # Reads to the end: what is written is what was verified, and all of it.
            ArrivingBundle(stream).verify(verifier).check_digests()
        finally:
            stream.close()
        new.commit()
    return new.target


def _source(address: str) -> tuple[Source, str]:
    try:
        parts = urlsplit(address)
    except ValueError:
        raise UsageError(f"{shown(address)!r:.200}: not an address", hint=_EXAMPLE) from None
    if parts.scheme not in _SCHEMES:
        raise UsageError(f"{parts.scheme or 'a path'}: not a source", hint=f"one of {', '.join(_SCHEMES)}")
    path = unquote(parts.path)
    name = check_name(path.rpartition("/")[2])
    if not name.endswith(".keep"):
        raise UsageError(f"{name}: sealed models are called *.keep here", hint="publish it under such a name")
    is_file = parts.scheme == "keep+file"
    return source_of(Path(path) if is_file else address.removeprefix(_PREFIX)), name


class _Recorded:
    """A stream whose bytes are written down as they are read."""

    def __init__(self, stream: ByteStream, file: Replacement) -> None:
        self._stream, self._file, self._position = stream, file, 0
        self.close = stream.close

    def read(self, size: int, /) -> bytes | None:
        """Returns what comes next."""
        piece = self._stream.read(size)
        if piece:
            with words_for(self._file.target):
                write_at(self._file.descriptor, memoryview(piece), self._position)
            self._position += len(piece)
        return piece


if __name__ == "__main__":
    main()
