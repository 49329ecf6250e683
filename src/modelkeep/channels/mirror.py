"""One place on the web where a bundle is: asks for it, and holds the answer against what was asked."""

from __future__ import annotations

import re

import httpx

from modelkeep.channels.pace import DownloadLimits, Patience
from modelkeep.errors import NetworkError, UsageError
from modelkeep.uri import shown

_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_SECONDS = re.compile(r"[0-9]{1,9}")
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
# Stores of objects that do not show what they hold answer 403 for what they do not hold.
_ABSENT = frozenset({403, 404, 410})
_SCHEMES = ("https", "http")


class MirrorError(NetworkError):
    """A place does not give what it should.

    Attributes:
        is_final: whether it will not do so later either.
        pause: seconds after which the server wants to be asked again, or None.
        is_absent: whether it says that there is nothing.
    """

    def __init__(
        self, message: str, *, is_final: bool, pause: float | None = None, is_absent: bool = False
    ) -> None:
        super().__init__(message, hint="see whether the address is right and its server in order")
        self.is_final = is_final
        self.pause = pause
        self.is_absent = is_absent


class Answer:
    """A server's answer that passed all checks.

    Attributes:
        response: its body is still to come.
        skip: how many bytes come before those that were asked for.
        size: length of the whole bundle.
    """

    def __init__(self, response: httpx.Response, skip: int, size: int) -> None:
        self.response = response
        self.skip = skip
        self.size = size


class Mirror:
    """An address of the bundle.

    Attributes:
        url: the address.
        tag: the ETag of what was there the first time, or None.
    """

    def __init__(self, address: str) -> None:
        """Takes an address.

        Raises:
            UsageError: not one of HTTP.
        """
        try:
            self.url = httpx.URL(address)
        except (httpx.InvalidURL, TypeError):
            raise _no_address(address) from None
        if self.url.scheme not in _SCHEMES or not self.url.host:
            raise _no_address(address)
        self.tag: str | None = None

    @property
    def name(self) -> str:
        """The address without user, password and query, which may be secret."""
        return f"{self.url.scheme}://{self.url.netloc.decode()}{self.url.path}"

    def ask(self, client: httpx.Client, offset: int, limits: DownloadLimits, patience: Patience) -> Answer:
        """Asks for the bytes from `offset` on.

        Raises:
            MirrorError: it does not answer, or not as it should.
        """
        headers = {} if offset == 0 else {"Range": f"bytes={offset}-"}
        if offset and self.tag is not None:
            headers["If-Range"] = self.tag
        # For the whole way to the answer, redirects included.
        patience.allow(limits.silence)
        try:
            response = self._follow(client, client.build_request("GET", self.url, headers=headers), limits)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        except (httpx.InvalidURL, ValueError) as error:
            # Of names and headers that cannot be encoded, which no layer below has an error for.
            raise self._wrong(f"or its address is not one of HTTP: {error}") from None
        finally:
            patience.allow(None)
        try:
            return self._checked(response, offset, limits)
        except BaseException:
            response.close()
            raise

    def _follow(self, client: httpx.Client, request: httpx.Request, limits: DownloadLimits) -> httpx.Response:
        for _ in range(limits.redirects + 1):
            response = client.send(request, stream=True)
            if response.next_request is None:
                return response
            response.close()
            before, request = request, response.next_request
            self._check_step(before.url, request.url)
        raise self._wrong(f"points elsewhere more than {limits.redirects} times")

    def _check_step(self, before: httpx.URL, after: httpx.URL) -> None:
        if after.scheme not in _SCHEMES or (before.scheme, after.scheme) == ("https", "http"):
            raise self._wrong(f"points to {after.scheme[:16]}:, away from {before.scheme}:")

    def _checked(self, response: httpx.Response, offset: int, limits: DownloadLimits) -> Answer:
        if response.status_code not in (200, 206):
            raise self._refusal(response)
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self._wrong("sends it compressed although nobody asked for that")
        start, size = self._extent(response, offset)
        if size > limits.size:
            raise self._wrong(f"has {size} bytes, more than the limit of {limits.size}")
        self._hold_to_tag(response.headers.get("etag"))
        return Answer(response, offset - start, size)

    def _extent(self, response: httpx.Response, offset: int) -> tuple[int, int]:
        """Returns where the body starts and how long the whole is."""
        length = response.headers.get("content-length", "")
        if not re.fullmatch(r"\d{1,19}", length):
            raise self._wrong("does not say how long it is")
        if response.status_code == 200:
            return 0, int(length)
        found = _RANGE.fullmatch(response.headers.get("content-range", ""))
        if found is None:
            raise self._wrong("gives a part without saying which")
        start, end, size = map(int, found.groups())
        if (start, end, int(length)) != (offset, size - 1, size - offset):
            raise self._wrong(f"gives another part than from {offset} on")
        return start, size

    def _hold_to_tag(self, tag: str | None) -> None:
        # A weak one says that the meaning is the same, not the bytes.
        # One that is not ASCII cannot be sent back.
        if tag is None or tag.startswith("W/") or not tag.isascii():
            return
        if self.tag is not None and self.tag != tag:
            raise self._wrong("has something else there by now")
        self.tag = tag

    def _refusal(self, response: httpx.Response) -> MirrorError:
        status = response.status_code
        # It may be a date as well, which says nothing to a device without a clock.
        after = _SECONDS.fullmatch(response.headers.get("retry-after", ""))
        pause = float(after[0]) if after else None
        return MirrorError(
            f"{self.name}: the server answers {status}",
            is_final=status not in _LATER,
            pause=pause,
            is_absent=status in _ABSENT,
        )

    def _unreachable(self, error: httpx.HTTPError) -> MirrorError:
        if isinstance(error, httpx.TimeoutException):
            return MirrorError(f"{self.name}: the server does not answer in time", is_final=False)
        is_stranger = "CERTIFICATE_VERIFY_FAILED" in str(error)
        is_final = is_stranger or isinstance(error, httpx.ProxyError | httpx.UnsupportedProtocol)
        return MirrorError(f"{self.name}: cannot be reached: {error}", is_final=is_final)

    def _wrong(self, problem: str) -> MirrorError:
        return MirrorError(f"{self.name}: the server {problem}", is_final=True)


def _no_address(address: object) -> UsageError:
    return UsageError(f"not an address to download from: {shown(address)!r:.200}", hint="https://server/path")
