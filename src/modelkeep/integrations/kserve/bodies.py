"""How large a request may be, which KServe's server does not ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from modelkeep.contract import DTYPES, Contract, TensorContract
from modelkeep.integrations.most_bytes import most_bytes

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

# A number takes at most so much text, brackets and comma included: -2.2250738585072014e-308.
_TEXT = 32
_AROUND = 2**16


def largest_body(contract: Contract | None, most: int) -> int:
    """Returns how many bytes a request has at most: what the contract's largest inputs take, or `most`."""
    if contract is None:
        return most
    return min(most, _AROUND + sum(_text_of(tensor) for tensor in contract.inputs))


def _text_of(tensor: TensorContract) -> int:
    # Rows of several inputs have each name in each.
    return most_bytes(tensor) // DTYPES[tensor.dtype] * (_TEXT + len(tensor.name.encode()))


class Bounded:
    """An application that gets no request with a larger body; the rest of it is never read."""

    def __init__(self, app: Application, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request: ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await self._read(receive)
        if body is None:
            await _refuse(send, self._most)
            return
        await self._app(scope, _given(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """Returns the body; None if it is too large, or nobody waits for an answer any more."""
        body = bytearray()
        while len(body) <= self._most:
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if not message.get("more_body"):
                return bytes(body) if len(body) <= self._most else None
        return None


def _given(body: bytes, receive: Receive) -> Receive:
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return left.pop() if left else await receive()

    return give


async def _refuse(send: Send, most: int) -> None:
    words = b'{"error":"a request has at most %d bytes"}' % most
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": words})
