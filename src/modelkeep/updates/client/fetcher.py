"""What python-tuf's client fetches with: a channel, whatever it is; into memory, within limits."""

from __future__ import annotations

from collections.abc import Iterator

from tuf.api import exceptions
from tuf.ngclient.fetcher import FetcherInterface

from modelkeep.channels.channel import AbsentError, Channel, read_whole
from modelkeep.errors import MalformedError, UsageError

_NOT_FOUND = 404


class ChannelFetcher(FetcherInterface):
    """Fetches by names in a channel, which stand where python-tuf has addresses.

    Attributes:
        requests: how many times the channel was asked.
    """

    def __init__(self, channel: Channel) -> None:
        self.requests = 0
        self._channel = channel

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Returns what has the name `url`; python-tuf would put it into a file in between.

        Raises:
            DownloadHTTPError: there is nothing of this name, which ends a chain of roots.
            MalformedError: nothing in a channel can have this name.
            UnavailableError: the channel does not give it, or it is longer than `max_length` bytes.
        """
        self.requests += 1
        try:
            return read_whole(self._channel, url, max_length)
        except AbsentError as error:
            raise exceptions.DownloadHTTPError(str(error), _NOT_FOUND) from error
        except UsageError as error:
            raise MalformedError(f"the repository: {error}") from None

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise NotImplementedError(url)
