"""What a caller decides about the process that a model runs in."""

from __future__ import annotations

from dataclasses import dataclass

from modelkeep.errors import UsageError


@dataclass(frozen=True, slots=True)
class ProcessIsolation:
    """Run the model in a process of its own.

    Attributes:
        timeout: longest time for one `run`, in seconds; None waits for ever.
        open_timeout: longest time until the model is ready, in seconds; None waits for ever.
        memory_limit: how many bytes the process may allocate once its runtime is imported, the weights
            included (except secret ones); None sets no limit.
        output_limit: how many bytes the outputs of one run may take in all; text counts 16-fold.
        secret: hold key and weights in memory that no other process can read, not even one of root.
            What the runtime copies is in ordinary memory all the same.
        fresh: start the process anew, with a layout of its memory that no other one has, instead of copying
            one that has imported the runtime; that takes longer.
    """

    timeout: float | None = None
    open_timeout: float | None = None
    memory_limit: int | None = None
    output_limit: int = 2**30
    secret: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        for name in ("timeout", "open_timeout", "memory_limit", "output_limit"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be positive")
