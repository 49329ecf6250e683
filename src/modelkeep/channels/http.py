"""A folder that web servers show, as a channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO, NoReturn

from modelkeep.channels.channel import AbsentError, ByteStream, check_name
from modelkeep.channels.download import HttpSource
from modelkeep.channels.http_client import ClientSettings, tls_context
from modelkeep.channels.mirror import Mirror, MirrorError
from modelkeep.channels.pace import DownloadLimits
from modelkeep.errors import UsageError


class HttpChannel:
    """A folder on web servers, as a `Channel`; they need not be trusted with anything but to be there.

    Attributes:
        name: the first address without user, password and query, which may be secret.
    """

    def __init__(
        self,
        url: str,
        *,
        mirrors: Sequence[str] = (),
        limits: DownloadLimits | None = None,
        client: ClientSettings | None = None,
    ) -> None:
        """Takes the address of a folder; nothing is fetched yet.

        Args:
            url: where it is: ``https://`` or ``http://``.
            mirrors: where else it is, asked in this order for what the first one does not give.
            limits: what each file may cost; the deadline is one of its own for each.
            client: how servers are reached.

        Raises:
            UsageError: not such an address, or settings that cannot be used.
            StorageError: a certificate cannot be read.
        """
        self._folders = [Mirror(each) for each in (url, *mirrors)]
        self._limits = limits or DownloadLimits()
        self._client = client or ClientSettings()
        # Reading the system's certificates takes longer than a request.
        self._tls = tls_context(self._client)
        self.name = self._folders[0].name

    def open(self, name: str, offset: int = 0, *, largest: int) -> ByteStream:
        """See `Channel.open`."""
        first, *others = [self._address(folder, check_name(name)) for folder in self._folders]
        source = HttpSource(
            first,
            mirrors=others,
            limits=replace(self._limits, size=min(largest, self._limits.size)),
            client=self._client,
            tls=self._tls,
        )
        try:
            return _Stream(source, source.open(offset))
        except BaseException as error:
            source.close()
            if isinstance(error, MirrorError) and error.is_absent:
                raise AbsentError(f"{self.name}: has no {name}") from None
            raise

    def put(self, name: str, pieces: Iterable[bytes | memoryview]) -> NoReturn:
        """Refuses: whoever fills the folder that a web server shows does that where it is."""
        raise UsageError(
            f"{self.name}: nobody writes through a web server", hint="write the folder that it shows"
        )

    @staticmethod
    def _address(folder: Mirror, name: str) -> str:
        return str(folder.url.copy_with(path=f"{folder.url.path.rstrip('/')}/{name}"))


class _Stream:
    """The bytes of a file; closing it also ends the connections that were made for it."""

    def __init__(self, source: HttpSource, stream: BinaryIO) -> None:
        self._source, self._stream = source, stream
        self.read = stream.read

    def close(self) -> None:
        self._stream.close()
        self._source.close()
