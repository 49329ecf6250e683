"""A session: open -> verify -> unwrap -> decrypt -> check inputs -> run -> wipe."""

from __future__ import annotations

import gc
import os
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from modelkeep.bundle.access import Access, IdentityLike, unlock
from modelkeep.bundle.unlocked import Unlocked
from modelkeep.clock import Clock
from modelkeep.contract import Contract
from modelkeep.errors import InputError, UsageError
from modelkeep.gate import Gate
from modelkeep.grants.constraints import Constraints
from modelkeep.guard.contract_check import ContractCheck, advice
from modelkeep.in_process_loading import load_in_process
from modelkeep.inputs import own_inputs
from modelkeep.isolated_loading import Isolation, isolation_settings, load_isolated
from modelkeep.isolated_loading import begin as begin_isolated
from modelkeep.keys.identity import Identity
from modelkeep.memory import Memory, overwrite_small_blocks, stacks_overwritten
from modelkeep.opening_report import Report
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.runtimes.messages import without_frames
from modelkeep.runtimes.registry import Runner
from modelkeep.trust.bundle_verifier import BundleVerifier

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


def open_session(
    path: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    grant_file: str | os.PathLike[str] | None = None,
    posture: Iterable[str] = (),
    entry: str | None = None,
    site: str | os.PathLike[str] | None = None,
    runtime: str | None = None,
    progress: Progress = no_progress,
    isolation: Isolation = "in-process",
    **options: Any,
) -> Session:
    """Opens a sealed model for inference; nothing of it reaches a runtime before all checks passed.

    Args:
        path: the bundle, as a file or a folder.
        identity: the key of this device, or its URI.
        verifier: whom to trust, and which model and release to accept.
        grant_file: look for the grant there instead of in the bundle and its sidecar.
        posture: names of what this device was found to be, for grants that demand some.
        entry: which of the model's entries to run, where it has several; its default one otherwise.
        site: what `save_site` wrote on this device: the guard goes by what is usual at this site.
        runtime: name of the adapter, where a format has several.
        progress: told the bytes that are decrypted; called from several threads.
        isolation: ``"process"``, or a `ProcessIsolation` with settings, runs the model in a hardened
            process of its own; by default it runs in this one.
        options: passed on to the runtime's adapter, for example `session_options` for ONNX Runtime.

    Raises:
        KeepError: the subclass says what the caller does next; see `modelkeep.errors`.
    """
    begin_isolated(isolation)
    with Access(identity, verifier, grant_file, posture) as access, unlock(path, access) as bundle:
        return session_of(
            bundle,
            access,
            entry=entry,
            site=site,
            runtime=runtime,
            progress=progress,
            isolation=isolation,
            options=options,
        )


def session_of(
    bundle: Unlocked,
    access: Access,
    *,
    entry: str | None = None,
    site: str | os.PathLike[str] | None = None,
    runtime: str | None = None,
    progress: Progress = no_progress,
    isolation: Isolation = "in-process",
    options: Mapping[str, Any],
) -> Session:
    """Loads what was unlocked; the arguments are those of `open_session`.

    Raises:
        KeepError: the subclass says what the caller does next; see `modelkeep.errors`.
    """
    inner = bundle.inner_manifest()
    chosen = inner.choose(entry)
    # Read before the weights are: a profile that cannot be applied ends the opening.
    guard = None if inner.guard is None else _guard(inner.guard, site, access.identity)
    settings = isolation_settings(isolation)
    kept: dict[str, Memory] = {}
    if settings is None:
        runner, kept, report = load_in_process(bundle, inner, chosen, runtime, progress, options)
    else:
        runner, report = load_isolated(bundle, inner, chosen, settings, runtime, progress, options)
    return Session(runner, kept, chosen.contract, report, guard, access.verifier.clock)


def _guard(sealed: bytes, site: str | os.PathLike[str] | None, identity: Identity) -> Guard:
    # Imported here, as all of the guard: most models have none, and many are opened in a hurry.
    from modelkeep.guard import Guard
    from modelkeep.guard.profile_json import parse_profile
    from modelkeep.site_file import load_site

    profile = parse_profile(sealed)
    return Guard(profile, None if site is None else load_site(site, profile=profile, identity=identity))


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
