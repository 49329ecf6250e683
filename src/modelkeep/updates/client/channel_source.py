"""A bundle in a channel, as a source that is installed from."""

from __future__ import annotations

from pathlib import Path

from modelkeep.channels.channel import Channel
from modelkeep.updates.client.fetcher import TARGETS
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.source import SourceBytes


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

    def open(self, offset: int) -> SourceBytes:
        """See `Source.open`."""
        return self._channel.open(TARGETS + self._document.archive, offset, largest=self._document.size)
