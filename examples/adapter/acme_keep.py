"""An adapter: what modelkeep has to know of a format, and of the runtime that loads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from acme_engine import MAGIC, Engine, read_size
from numpy.typing import NDArray

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.format import Contracts, Files, Format
from modelkeep.runtimes import LoadedModel, Runner, Runtime


class AcmeFormat(Format):
    """How to tell an Acme model, and what it takes."""

    name: ClassVar[str] = "net.acme"  # what bundles call it
    suffixes: ClassVar[tuple[str, ...]] = (".acme",)
    runtime: ClassVar[str | None] = "acme-keep"

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """Returns whether a file is an Acme model."""
        return bytes(view[:4]) == MAGIC

    @classmethod
    def contracts(cls, files: Files, entry: str) -> Contracts:
        """Returns what the model takes: rows of so many numbers."""
        taken, _given = _size(files[entry])
        return {None: Contract((TensorContract("x", "float32", (None, taken)),))}


class AcmeRuntime(Runtime):
    """Loads Acme models. It has no options."""

    name: ClassVar[str] = "acme"
    formats: ClassVar[frozenset[str]] = frozenset({AcmeFormat.name})

    @classmethod
    def require(cls) -> None:
        """Does nothing: the engine comes with this package."""

    @classmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> AcmeRunner:
        """Makes a model ready."""
        if options:
            raise UsageError(f"the acme runtime has no option {min(options)!r}", hint="it has none")
        view = model.files[model.entry]
        taken, _given = _size(view)
        return AcmeRunner(Engine(view), model.entry, taken)


class AcmeRunner(Runner):
    """A loaded Acme model; it computes on the memory that was decrypted into."""

    def __init__(self, engine: Engine, entry: str, taken: int) -> None:
        self._engine: Engine | None = engine
        self._taken = taken
        self.borrowed = frozenset({entry})  # wiped when the session is closed, and not before

    @property
    def native(self) -> Engine:
        """The `acme_engine.Engine`."""
        if self._engine is None:
            raise UsageError("the model is closed")
        return self._engine

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Computes; inputs are checked again, because not every caller has a contract."""
        engine, x = self.native, inputs.get("x")
        if inputs.keys() != {"x"} or not isinstance(x, np.ndarray) or x.dtype != np.float32:
            raise UsageError("the model takes one array of float32, called x")
        if x.ndim != 2 or x.shape[1] != self._taken:
            raise UsageError(f"x must be rows of {self._taken} numbers")
        return {"y": engine.compute(x)}

    def close(self) -> None:
        """Lets go of the engine."""
        self._engine = None


def _size(view: memoryview) -> tuple[int, int]:
    try:
        return read_size(view)
    except ValueError as error:
        raise MalformedError(str(error)) from None
