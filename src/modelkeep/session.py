"""A session: open -> verify -> unwrap -> decrypt -> check inputs -> run -> wipe."""

from __future__ import annotations

import gc
import os
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from modelkeep.clock import Clock
from modelkeep.contract import Contract
from modelkeep.errors import InputError, UsageError
from modelkeep.gate import Gate
from modelkeep.grants.constraints import Constraints
from modelkeep.guard.contract_check import ContractCheck, advice
from modelkeep.inputs import own_inputs
from modelkeep.memory import Memory, overwrite_small_blocks, stacks_overwritten
from modelkeep.opening_report import Report
from modelkeep.runtimes.messages import without_frames
from modelkeep.runtimes.registry import Runner

if TYPE_CHECKING:
    import numpy as np

    from modelkeep.guard import Guard, GuardFinding


class FlaggedOutputs(NamedTuple):
    """What the model made of inputs, and whether the guard has doubts.

    Attributes:
        outputs: arrays by output name.
        flags: stages that flagged the call: ``signal``, ``model``, ``squeeze`` or ``stream``; no scores.
    """

    outputs: dict[str, np.ndarray]
    flags: tuple[str, ...]


class Session:
    """A model in memory, ready to run; made by `open_session`. Closing it wipes the memory.

    Any number of threads may call `run` at once.

    Attributes:
        report: what was checked.
        contract: what inputs must look like, or None when the format does not say.
        guard: what inputs usually look like and how often they did not, or None without a profile.
    """

    def __init__(
        self,
        runner: Runner,
        memory: Mapping[str, Memory],
        contract: Contract | None,
        report: Report,
        guard: Guard | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.report = report
        self._clock = clock or Clock()
        self.guard = guard
        self.contract = contract
        self._runner = runner
        self._gate = Gate("this session is closed", hint="open the model again")
        self._process = os.getpid()
        # Also without `close`: whoever still holds `native` must not reach memory that is gone.
        self._finalizer = weakref.finalize(self, _end, self._process, runner, memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Session of {self.report.model}, epoch {self.report.epoch}, bundle {self.report.bundle[:8]}>"

    @property
    def native(self) -> Any:
        """The runtime's own object, for what `run` does not offer; inputs are not checked there.

        Raises:
            UsageError: the session is closed, or belongs to another process.
        """
        self._check_usable()
        with self._gate.visit():
            self._gate.check()
            return self._runner.native

    def run(self, inputs: Mapping[str, np.ndarray], *, copy: bool = True) -> dict[str, np.ndarray]:
        """Checks the inputs against contract and guard, runs the model, and checks what it made of them.

        Args:
            inputs: arrays by input name; they are not changed.
            copy: check and run a copy, which nobody else can write meanwhile. Without it, an array that
                another thread or process writes may pass the check and run as something else.

        Returns:
            Arrays by output name.

        Raises:
            InputError: an input breaks the contract, or the guard rejects it. The guard's finding says
                no more than that; the log of the device has the rest.
            UsageError: the session is closed, or belongs to another process.
            ExpiredError: the grant has ended since the model was opened.
        """
        return self.run_flagged(inputs, copy=copy).outputs

    def run_flagged(self, inputs: Mapping[str, np.ndarray], *, copy: bool = True) -> FlaggedOutputs:
        """Does what `run` does, and says which stages of the guard flag what they do not reject.

        Whoever can choose inputs should not learn of flags: each is a hint how to get past the guard.

        Args:
            inputs: see `run`; so is `copy`.

        Raises:
            InputError, UsageError: see `run`.
        """
        self._check_usable()
        with self._gate.visit():
            self._gate.check()
            # Taken once: a mapping that is asked twice may give two different arrays.
            inputs = _by_name(inputs)
            if copy and (self.contract is not None or self.guard is not None):
                inputs = own_inputs(inputs, self.contract)
            if self.contract is not None:
                findings = ContractCheck(self.contract).findings(inputs)
                if findings:
                    raise InputError(findings, hint=advice(findings))
                # What may be left out may also be given as nothing, which not every runtime knows.
                inputs = {name: value for name, value in inputs.items() if value is not None}
            if self.guard is None:
                return FlaggedOutputs(self._compute(inputs), ())
            return self._run_guarded(self.guard, inputs)

    def run_unchecked(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the model alone, as `native` could, for whoever measures what contract and guard do.

        Args:
            inputs: arrays by input name that keep `contract`; runtimes trust what they are handed.

        Raises:
            UsageError: see `run`; or the runtime refuses these inputs.
        """
        self._check_usable()
        with self._gate.visit():
            self._gate.check()
            return self._compute(inputs)

    def _compute(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return self._runner.run(inputs)
        except Exception as error:
            raise without_frames(error) from error.__cause__

    def _run_guarded(self, guard: Guard, inputs: Mapping[str, np.ndarray]) -> FlaggedOutputs:
        flags = _refuse(guard.check_inputs(inputs))
        outputs = self._compute(inputs)
        flags += _refuse(guard.check_outputs(outputs))
        flags += _refuse(guard.check_squeezed(inputs, outputs, self._compute))
        return FlaggedOutputs(outputs, flags)

    async def run_async(
        self, inputs: Mapping[str, np.ndarray], *, copy: bool = True
    ) -> dict[str, np.ndarray]:
        """Does what `run` does in a thread of the event loop's default executor.

        Cancelling the task does not stop a computation that has begun; `close` waits for it.

        Raises:
            InputError, UsageError: see `run`.
        """
        import asyncio

        return await asyncio.to_thread(self.run, inputs, copy=copy)

    def close(self) -> None:
        """Waits for every `run` that is under way, lets go of the runtime and wipes the weights.

        Again it does nothing, and in another process than the one that opened the session neither.

        Raises:
            UsageError: called from within `run`, for example by a signal handler.
        """
        if os.getpid() == self._process:
            self._gate.close()
            engine = _weakly(self._runner.engine)
            self._finalizer()
            _warn_of_survivor(engine)

    def _check_usable(self) -> None:
        if os.getpid() != self._process:
            raise UsageError(
                "this session belongs to the parent process",
                hint="open the model in each process that runs it",
            )
        # A service may run for longer than a grant counts.
        if self.report.not_after is not None:
            Constraints(not_after=self.report.not_after).check(self._clock.now())


def _by_name(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if not isinstance(inputs, Mapping):
        raise UsageError(
            f"inputs are arrays by name, not {type(inputs).__name__}",
            hint='pass a mapping such as {"image": array}; `session.contract` has the names',
        )
    return dict(inputs)


def _refuse(findings: tuple[GuardFinding, ...]) -> tuple[str, ...]:
    """Returns the stages that flag, unless one rejects."""
    if any(finding.action == "reject" for finding in findings):
        from modelkeep.guard.findings import UNUSUAL

        raise InputError((UNUSUAL,), hint="the log `modelkeep.guard` of this device says more")
    return tuple(dict.fromkeys(finding.stage for finding in findings))


def _weakly(engine: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(engine)
    except TypeError:  # there is none, or it can only be held
        return lambda: None


def _warn_of_survivor(engine: Callable[[], Any]) -> None:
    if engine() is None:
        return
    gc.collect()
    if engine() is not None:
        warnings.warn(
            "something that `session.native` gave still holds the runtime of a closed model: "
            "the runtime's own copies of the weights stay in memory until that goes",
            RuntimeWarning,
            stacklevel=3,
        )


def _end(process: int, runner: Runner, memory: Mapping[str, Memory]) -> None:
    if os.getpid() != process:
        return
    try:
        with stacks_overwritten():
            runner.close()
            overwrite_small_blocks()
    finally:
        for pages in memory.values():
            pages.close()
