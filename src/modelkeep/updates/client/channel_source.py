"""A bundle in a channel, as a source that is installed from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from modelkeep.bundle.access import sidecar_path
from modelkeep.channels.channel import ByteStream, Channel
from modelkeep.storage import Replacement, words_for, write_at
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.repository.metadata import TARGETS

LARGEST_GRANTS = 2**30
_PIECE = 2**20


class ChannelSource:
    """The bundle of a release, as a `Source`.

    Attributes:
        path: a place beside which grants lie that do not come with the bundle, as beside a file.
    """

    can_seek = True
    # Segments are held against what the publisher signed, wherever they come from.
    tag = None

    def __init__(self, channel: Channel, document: ReleaseDocument, path: Path) -> None:
        self.path = path
        self.name = f"{channel.name}: {document.archive}"
        self._channel, self._document = channel, document

    def open(self, offset: int) -> ByteStream:
        """See `Source.open`."""
        return self._channel.open(f"{TARGETS}/{self._document.archive}", offset, largest=self._document.size)


@contextmanager
def fetched_grants(channel: Channel, document: ReleaseDocument, path: Path) -> Iterator[None]:
    """Fetches the grants that do not come with a bundle, to where a source at `path` is accompanied by them.

    They need no other proof than to open: each is bound to the key that the publisher committed to. They are
    gone after the `with` block, since nobody has signed how much room they take.

    Raises:
        UnavailableError: the channel does not give them, or the disk cannot be written.
    """
    beside = sidecar_path(path)
    with words_for(beside):
        beside.unlink(missing_ok=True)
    try:
        if document.grants is not None:
            with closing(channel.open(f"{TARGETS}/{document.grants}", largest=LARGEST_GRANTS)) as stream:
                _keep(stream, beside)
        yield
    finally:
        with words_for(beside):
            beside.unlink(missing_ok=True)


def _keep(stream: ByteStream, path: Path) -> None:
    with Replacement(path, force=True, mode=0o600) as new, words_for(path):
        position = 0
        while piece := stream.read(_PIECE):
            write_at(new.descriptor, memoryview(piece), position)
            position += len(piece)
        new.commit()
