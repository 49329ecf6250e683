"""A model that runs in a process of its own, to the session like any other."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from modelkeep.errors import RuntimeCrashedError, UsageError
from modelkeep.isolation import area
from modelkeep.isolation.area import Area
from modelkeep.isolation.channel import close_quietly
from modelkeep.isolation.process import Process
from modelkeep.isolation.protocol import error_from
from modelkeep.runtimes.registry import Runner

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ProcessRunner(Runner):
    """Hands inputs to the process and outputs back. Runs one after the other.

    Attributes:
        process: where the model is; it belongs to this object.
    """

    def __init__(self, process: Process, timeout: float | None) -> None:
        self.process = process
        self._timeout = timeout
        self._lock = threading.Lock()
        self._inputs: Area | None = None
        self._outputs: Area | None = None
        self._closed = False

    @property
    def native(self) -> NoReturn:
        """There is none here.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "the runtime's own object is in the isolated process", hint="open the model without `isolation`"
        )

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """See `Runner.run`.

        Raises:
            RuntimeCrashedError: the process ended; the model is to be opened again.
            RuntimeTimeoutError: it took too long and was ended.
            UsageError: the runtime refuses these inputs, they are no arrays, or the runner is closed.
        """
        with self._lock:
            if self._closed:
                raise UsageError("the model is closed")
            laid_out, size = area.packed(inputs)
            new = self._room_for(size)
            assert self._inputs is not None
            self.process.allow(self._timeout)
            self.process.send(["run", area.write(self._inputs, laid_out)], new)
            return self._answer()

    def close(self) -> None:
        """See `Runner.close`. Every page of the process goes back to the kernel."""
        with self._lock:
            self._closed = True
            self.process.end()
            for each in (self._inputs, self._outputs):
                if each is not None:
                    each.close()
            self._inputs = self._outputs = None

    def _room_for(self, size: int) -> int | None:
        """Makes room for inputs; returns the descriptor to tell the process of, if it is new."""
        if self._inputs is not None and size <= self._inputs.size:
            return None
        new = Area.allocate(size)
        if self._inputs is not None:
            self._inputs.close()
        self._inputs = new
        return new.descriptor

    def _answer(self) -> dict[str, Any]:
        message, descriptor = self.process.receive()
        if message[0] != "outputs" or len(message) != 2:
            close_quietly(descriptor)
            raise error_from(message)
        try:
            if descriptor is not None:
                self._take(descriptor)
            return dict(area.read(self._outputs, message[1], copy=True))
        except Exception as error:
            self.process.end()
            raise RuntimeCrashedError(
                f"the isolated process gave no proper outputs: {error}", hint="open the model again"
            ) from error

    def _take(self, descriptor: int) -> None:
        new = Area.received(descriptor)
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = new
