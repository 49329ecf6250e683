"""Answers Frigate's questions, one after the other, until it is told to end. A bad question ends nothing."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol, Self

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import KeepError, MalformedError, RuntimeMissingError, UnavailableError, UsageError
from modelkeep.integrations.frigate import messages
from modelkeep.integrations.frigate.detections import Size, rows_of
from modelkeep.integrations.frigate.endpoint import Endpoint, private_sockets, taken
from modelkeep.integrations.most_bytes import most_bytes

try:
    import zmq
except ImportError as missing:
    raise RuntimeMissingError(
        "pyzmq is not installed, which Frigate speaks", hint="pip install 'modelkeep[frigate]'"
    ) from missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOG = logging.getLogger("modelkeep.frigate")
_BETWEEN_COMPLAINTS = 10.0
# Frigate has one question under way for each of its detectors.
_MOST_WAITING = 16
_ENVELOPE, _MOST_PARTS = 2, 2
_COLOURS = 3
_SIZES = "orig_target_sizes"


class RunsModels(Protocol):
    """What is asked: a session, or a model that is watched."""

    @property
    def contract(self) -> Contract | None:
        """What inputs must look like."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Checks the inputs, and computes."""


class FrigateServer:
    """A model that Frigate asks as a detector of ``type: zmq``.

    Attributes:
        endpoint: where it is asked.
    """

    def __init__(self, model: RunsModels, endpoint: Endpoint) -> None:
        """Begins to listen.

        Args:
            model: whoever made it closes it, after this.
            endpoint: see `endpoint_of`.

        Raises:
            UnavailableError: another server answers there, or it cannot be had.
            UsageError: the model takes no picture, or a file is where the socket is to be.
        """
        self.endpoint = endpoint
        self._model, self._picture = model, _picture_of(model.contract)
        self._complained: dict[type, float] = {}
        with ExitStack() as held:
            held.enter_context(taken(endpoint))
            self._context = held.enter_context(zmq.Context())
            # Not REP: of a message without an envelope it keeps parts, and answers the next one to nobody.
            self._socket = held.enter_context(self._context.socket(zmq.ROUTER))
            self._bind()
            self._held = held.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the endpoint. Again it does nothing."""
        self._held.close()

    def serve(self) -> None:
        """Answers until the process is interrupted."""
        while True:
            self.answer_one()

    def answer_one(self, patience: float | None = None) -> bool:
        """Answers the next question; returns whether one came within `patience` seconds."""
        if not self._socket.poll(None if patience is None else int(1000 * patience)):
            return False
        asker, *parts = self._received()
        if parts and not parts[0]:
            self._socket.send_multipart([asker, b"", *self._answer(parts[1:])])
        return True

    def _bind(self) -> None:
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, max(messages.LARGEST_HEADER, most_bytes(self._picture)))
        self._socket.setsockopt(zmq.RCVHWM, _MOST_WAITING)
        self._socket.setsockopt(zmq.SNDHWM, _MOST_WAITING)
        self._socket.setsockopt(zmq.IPV6, "[" in self.endpoint.address)
        try:
            with private_sockets():
                self._socket.bind(self.endpoint.address)
        except zmq.ZMQError as error:
            if error.errno == zmq.EADDRINUSE:
                raise UnavailableError(
                    f"{self.endpoint.address}: another server answers there", hint="end it first"
                ) from error
            raise UnavailableError(f"{self.endpoint.address}: {str(error.strerror).lower()}") from error

    def _received(self) -> list[bytes]:
        """Returns the parts of a message: who asks, the empty one that ends the envelope, what is asked."""
        parts = [self._socket.recv()]
        while self._socket.getsockopt(zmq.RCVMORE):
            part = self._socket.recv()
            if len(parts) <= _ENVELOPE + _MOST_PARTS:  # one too many shows that there were
                parts.append(part)
        return parts

    def _answer(self, parts: Sequence[bytes]) -> list[bytes]:
        try:
            message = messages.parse(parts)
            if isinstance(message, messages.Question):
                return messages.is_ready()
            if isinstance(message, messages.Offer):
                self._complain(messages.Offer, "frigate sent a model of its own, which was thrown away")
                return messages.keeps_its_model()
            return messages.detections(self._detect(message))
        except KeepError as error:
            self._complain(type(error), str(error))
            # Whoever asks need not know what the guard found.
            return messages.fault(type(error).__name__)

    def _detect(self, frame: messages.Frame) -> NDArray[Any]:
        size = _size_of(frame.picture)
        inputs = {self._picture.name: frame.picture} | self._sizes(size)
        outputs = list(self._model.run(inputs).values())
        try:
            return rows_of(frame.model_type, outputs, size)
        except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
            raise UsageError(
                f"what the model gives cannot be read as that of a model_type {frame.model_type!r}"
            ) from error

    def _sizes(self, size: Size) -> dict[str, NDArray[Any]]:
        import numpy as np

        contract = self._model.contract
        asks = contract is not None and _SIZES in contract.by_name()
        return {_SIZES: np.array([[size.height, size.width]], np.int64)} if asks else {}

    def _complain(self, kind: type, words: str) -> None:
        """Logs, though not everything that somebody says a thousand times a second, whatever his words."""
        now = time.monotonic()
        if now - self._complained.get(kind, -math.inf) < _BETWEEN_COMPLAINTS:
            return
        self._complained[kind] = now
        _LOG.warning("%s: %s", self.endpoint.address, words)


def _picture_of(contract: Contract | None) -> TensorContract:
    """Returns the input that pictures go into."""
    inputs = [each for each in (contract.inputs if contract else ()) if each.name != _SIZES]
    if len(inputs) != 1 or inputs[0].sequence or inputs[0].keys is not None:
        raise UsageError("Frigate gives one picture, and this model takes something else")
    return inputs[0]


def _size_of(picture: NDArray[Any]) -> Size:
    if picture.ndim == 4 and picture.shape[1] == _COLOURS:
        return Size(*picture.shape[2:])
    if picture.ndim == 4 and picture.shape[3] == _COLOURS:
        return Size(*picture.shape[1:3])
    raise MalformedError(f"frigate's message: a picture has no shape like {picture.shape}")
