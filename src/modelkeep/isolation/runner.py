"""A model that runs in a process of its own, to the session like any other."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from modelkeep.errors import MalformedError, RuntimeCrashedError, UnavailableError, UsageError
from modelkeep.isolation import area
from modelkeep.isolation.area import Area
from modelkeep.isolation.process import Process
from modelkeep.isolation.protocol import error_from
from modelkeep.isolation.settings import ProcessIsolation
from modelkeep.isolation.values import kind_of, put_together, taken_apart
from modelkeep.runtimes.registry import Runner

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ProcessRunner(Runner):
    """Hands inputs to the process and outputs back. Runs one after the other.

    Attributes:
        process: where the model is; it belongs to this object.
    """

    def __init__(self, process: Process, settings: ProcessIsolation, outputs: tuple[str, ...] | None) -> None:
        self.process = process
        self.outputs = outputs
        self._settings = settings
        # Re-entrant, so that a signal handler is told instead of waiting for itself.
        self._lock = threading.RLock()
        self._running = False
        self._inputs: Area | None = None
        self._outputs: Area | None = None
        self._kinds: dict[str, str] | None = None
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
            UsageError: the runtime refuses these inputs, they are no arrays, the runner is closed, or
                this thread is in the middle of a run, for example in a signal handler.
        """
        with self._lock:
            self._refuse_within()
            try:
                self._running = True
                return self._run(inputs)
            finally:
                self._running = False

    def close(self) -> None:
        """See `Runner.close`. Every page of the process goes back to the kernel."""
        with self._lock:
            self._refuse_within()
            self._closed = True
            self.process.end()
            for each in (self._inputs, self._outputs):
                if each is not None:
                    each.close()
            self._inputs = self._outputs = None

    def _refuse_within(self) -> None:
        if self._running:
            raise UsageError("this thread is in the middle of a run", hint="leave signal handlers first")

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        if self._closed:
            raise UsageError("the model is closed")
        forms, arrays = taken_apart(inputs)
        laid_out, size = area.packed(arrays)
        new = self._room_for(size)
        assert self._inputs is not None
        self.process.allow(self._settings.timeout)
        places = area.write(self._inputs, laid_out)
        self.process.send(["run", places, forms, self._inputs.size], *new)
        return self._answer()

    def _room_for(self, size: int) -> tuple[int, ...]:
        """Makes room for inputs; returns the descriptor to tell the process of, if it is new."""
        if self._inputs is not None and size <= self._inputs.size:
            return ()
        new = Area.allocate(size)
        if self._inputs is not None:
            self._inputs.close()
        self._inputs = new
        return (new.descriptor,)

    def _answer(self) -> dict[str, Any]:
        message = self.process.receive()
        try:
            match message:
                case ["room", int(size)]:
                    self._make_room(size)
                    message = self.process.receive()
            match message:
                case ["outputs", places, forms]:
                    return self._read(places, forms)
        except UnavailableError:
            raise
        except Exception as error:
            # Whatever a hostile process makes the reading of its answer trip over.
            self.process.end()
            raise RuntimeCrashedError(
                f"the isolated process gave no proper outputs: {error}", hint="open the model again"
            ) from error
        told = error_from(message)
        if isinstance(told, RuntimeCrashedError):
            self.process.end()
        raise told

    def _make_room(self, size: int) -> None:
        """Gives the process memory for outputs, within the limit and each time more than before.

        The process may keep what it had, which counts nowhere: growing at least twofold bounds the sum.
        """
        if self._outputs is not None and size <= self._outputs.size:
            raise MalformedError("no more room than there is")
        if not 0 <= size <= self._settings.output_limit:
            self.process.end()
            raise UnavailableError(
                f"the outputs take {size} bytes, more than the limit",
                hint="raise `output_limit`",
            )
        new = Area.allocate(size)
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = new
        self.process.send(["area", new.size], new.descriptor)

    def _read(self, places: object, forms: object) -> dict[str, Any]:
        limit = self._settings.output_limit
        values = put_together(forms, area.read(self._outputs, places, copy=True, limit=limit), limit)
        if self.outputs is not None:
            self._hold_to_announced(values)
        return values

    def _hold_to_announced(self, values: Mapping[str, Any]) -> None:
        if tuple(values) != self.outputs:
            raise MalformedError("other outputs than it announced")
        # An optional output is nothing at times.
        kinds = {name: kind_of(value) for name, value in values.items() if value is not None}
        before = {**kinds, **(self._kinds or {})}
        if any(before[name] != kind for name, kind in kinds.items()):
            raise MalformedError("outputs of another kind than before")
        self._kinds = before
