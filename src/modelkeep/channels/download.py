"""A bundle behind an address: taken from any place on, from mirrors, within limits."""

from __future__ import annotations

import io
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from modelkeep.errors import NetworkError, UnavailableError

try:
    import httpx
except ImportError as error:
    raise UnavailableError(
        "httpx is not installed, which downloads take", hint="pip install 'modelkeep[updates]'"
    ) from error

from modelkeep.channels.http_client import ClientSettings, http_client
from modelkeep.channels.mirror import Answer, Mirror, MirrorError
from modelkeep.channels.pace import DownloadLimits, Pace, Patience

# A server that gives so much between two failures gets all its attempts anew.
_PROGRESS = 2**20
_LONGEST_PAUSE = 60.0


class HttpSource:
    """A bundle on web servers, as a `Source`; they need not be trusted with anything but to be there.

    Attributes:
        name: the address without user, password and query, which may be secret.
        limits: what the download may cost.
        size: length of the bundle in bytes, once it is known.
    """

    can_seek = True

    def __init__(
        self,
        url: str,
        *,
        mirrors: Sequence[str] = (),
        limits: DownloadLimits | None = None,
        client: ClientSettings | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Takes an address; nothing is fetched yet.

        Args:
            url: where the bundle is: ``https://`` or ``http://``.
            mirrors: where else it is, asked in this order when the first one fails.
            limits: what the download may cost; its deadline begins now.
            client: how servers are reached.
            tls: see `http_client`.

        Raises:
            UsageError: not such an address, or settings that cannot be used.
            StorageError: a certificate cannot be read.
        """
        self.limits = limits or DownloadLimits()
        self._patience = Patience(self.limits)
        self._mirrors = [Mirror(each) for each in (url, *mirrors)]
        self._client = http_client(client or ClientSettings(), self.limits, self._patience, tls)
        self.size: int | None = None
        self._tag: str | None = None
        self.name = self._mirrors[0].name

    @property
    def tag(self) -> str | None:
        """The ETag of what came first; each mirror has its own and is held to that."""
        return self._tag

    def open(self, offset: int) -> BinaryIO:
        """Returns a stream of the bundle's bytes from `offset` on, of which the first have come.

        What breaks off is taken up again where it ended.

        Raises:
            NetworkError: here, or when it is read: no server gives the rest within the limits.
        """
        return cast(BinaryIO, _Download(self, offset))

    def close(self) -> None:
        """Ends the connections that are kept."""
        self._client.close()

    def answer(self, offset: int) -> Answer:
        """Asks the mirror whose turn it is.

        Raises:
            MirrorError: it does not answer as it should.
        """
        answer = self._mirrors[0].ask(self._client, offset, self.limits, self._patience)
        if self.size not in (None, answer.size):
            answer.response.close()
            raise MirrorError(f"{self._mirrors[0].name}: has another size than before", is_final=True)
        if self.size is None:
            self.size, self._tag = answer.size, self._mirrors[0].tag
        return answer

    def give_up(self, error: NetworkError, failures: int) -> None:
        """Makes it the next mirror's turn, after a pause where all of them have failed.

        Raises:
            NetworkError: there is nobody left to ask, or no time.
        """
        first = self._mirrors[0]
        is_final = isinstance(error, MirrorError) and error.is_final
        others = self._mirrors[1:]
        if self._patience.is_over:
            raise NetworkError(f"{first.name}: not done within the deadline", hint="try again later")
        if (is_final and not others) or failures >= self.limits.attempts:
            raise error
        self._mirrors = others if is_final else [*others, first]
        if not is_final and not failures % len(self._mirrors):
            time.sleep(self._pause(error, failures))

    def _pause(self, error: NetworkError, failures: int) -> float:
        wanted = error.pause if isinstance(error, MirrorError) else None
        grown: float = self.limits.pause * 2 ** (failures // len(self._mirrors) - 1)
        return self._patience.left(min(_LONGEST_PAUSE, grown if wanted is None else wanted))


class _Download(io.RawIOBase):
    """The bytes of a bundle from some place on; what breaks off is taken up again."""

    def __init__(self, source: HttpSource, offset: int) -> None:
        self._source = source
        self._position = offset
        self._pace = Pace(source.limits)
        self._answer: Answer | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._left = memoryview(b"")
        self._failures, self._since = 0, offset
        self._fill()

    def readable(self) -> bool:
        """Says yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fills the front of `buffer`; 0 at the end of the bundle.

        Raises:
            NetworkError: see `HttpSource.open`.
        """
        piece = self._take(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def read(self, size: int = -1, /) -> bytes:
        """Returns at most `size` bytes that have come, none at the end of the bundle; all without a size.

        By way of `readinto`, room for all of `size` would be made for each little piece.

        Raises:
            NetworkError: see `HttpSource.open`.
        """
        return self.readall() if size < 0 else bytes(self._take(size))

    def _take(self, most: int) -> memoryview:
        self._fill()
        piece, self._left = self._left[:most], self._left[most:]
        self._position += len(piece)
        return piece

    def close(self) -> None:
        """Ends the connection."""
        self._disconnect()
        super().close()

    def _fill(self) -> None:
        while not self._left and self._position != self._source.size:
            self._left = memoryview(self._next())

    def _next(self) -> bytes:
        """Returns what comes next; nothing after a failure that is no reason to give up."""
        try:
            if self._answer is None:
                self._answer = self._source.answer(self._position)
                self._pieces = self._answer.response.iter_raw()
            return self._piece(self._answer)
        except NetworkError as error:
            self._disconnect()
            self._failures = 1 if self._position - self._since >= _PROGRESS else self._failures + 1
            self._since = self._position
            self._source.give_up(error, self._failures)
            return b""

    def _piece(self, answer: Answer) -> bytes:
        start = time.monotonic()
        try:
            piece = next(self._pieces, None)
        except httpx.TransportError as error:
            raise MirrorError(f"{self._source.name}: breaks off: {error}", is_final=False) from None
        if piece is None:
            raise MirrorError(f"{self._source.name}: ends too early", is_final=False)
        self._pace.received(len(piece), time.monotonic() - start)
        self._pace.hold_back(len(piece))
        skipped = min(answer.skip, len(piece))
        answer.skip -= skipped
        return piece[skipped:]

    def _disconnect(self) -> None:
        if self._answer is not None:
            self._answer.response.close()
        self._answer, self._pieces = None, iter(())
