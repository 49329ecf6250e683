"""A session: open -> verify -> unwrap -> decrypt -> check inputs -> run -> wipe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from modelkeep.bundle.access import unlocked
from modelkeep.bundle.opened import Opened
from modelkeep.contract import Contract
from modelkeep.errors import InputError, UsageError
from modelkeep.guard import UNUSUAL, Guard, GuardFinding
from modelkeep.guard import check as check_contract
from modelkeep.guard.profile_json import parse_profile
from modelkeep.inner_manifest import InnerManifest
from modelkeep.keys.identity import Identity
from modelkeep.memory import BytesPages, MemoryReport, Pages
from modelkeep.memory import report as memory_report
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.runtimes.registry import LoadedModel, Runner, open_runtime
from modelkeep.trust.verifier import BundleVerifier

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked when a session was opened, and what could not be.

    Attributes:
        model: the model's id.
        release: version for people, may be empty.
        epoch: release counter of the model.
        bundle: the bundle's id in hexadecimal.
        signer: who signed, or None when an unsigned bundle was let in.
        device_id: the name under which the grant was issued, may be empty.
        not_after: last second at which the grant counts, or None.
        installed: whether this is an installation of this device.
        memory: how the weights are held.
        notes: what a careful reader should know, in words.
    """

    model: str
    release: str
    epoch: int
    bundle: str
    signer: str | None
    device_id: str
    not_after: int | None
    installed: bool
    memory: MemoryReport
    notes: tuple[str, ...]


class Session:
    """A model in memory, ready to run; made by `open_session`. Closing it wipes the memory.

    Attributes:
        report: what was checked.
        contract: what inputs must look like, or None when the format does not say.
        guard: what inputs usually look like and how often they did not, or None without a profile.
    """

    def __init__(
        self,
        runner: Runner,
        memory: Mapping[str, Pages | BytesPages],
        contract: Contract | None,
        report: Report,
        guard: Guard | None = None,
    ) -> None:
        self.report = report
        self.guard = guard
        self.contract = contract
        self._memory = memory
        self._runner: Runner | None = runner
        self._process = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    @property
    def native(self) -> Any:
        """The runtime's own object, for what `run` does not offer; inputs are not checked there.

        Raises:
            UsageError: the session is closed, or belongs to another process.
        """
        return self._opened().native

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Checks the inputs against contract and guard, runs the model, and checks what it made of them.

        Args:
            inputs: arrays by input name; they are not changed.

        Returns:
            Arrays by output name.

        Raises:
            InputError: an input breaks the contract, or the guard rejects it. The guard's finding says
                no more than that; the log of the device has the rest.
            UsageError: the session is closed, or belongs to another process.
        """
        runner = self._opened()
        # Taken once: a mapping that is asked twice may give two different arrays.
        inputs = dict(inputs)
        if self.contract is not None:
            findings = check_contract(self.contract, inputs)
            if findings:
                raise InputError(findings, hint="`session.contract` says what the model takes")
        if self.guard is None:
            return runner.run(inputs)
        _refuse(self.guard.check_inputs(inputs))
        outputs = runner.run(inputs)
        _refuse(self.guard.check_outputs(outputs))
        return outputs

    def close(self) -> None:
        """Lets go of the runtime and wipes the weights; harmless when repeated."""
        if self._runner is None or os.getpid() != self._process:
            return
        runner, self._runner = self._runner, None
        runner.close()
        del runner
        for memory in self._memory.values():
            memory.close()

    def _opened(self) -> Runner:
        if os.getpid() != self._process:
            raise UsageError(
                "this session belongs to the parent process",
                hint="open the model in each process that runs it",
            )
        if self._runner is None:
            raise UsageError("this session is closed", hint="open the model again")
        return self._runner


def _refuse(findings: tuple[GuardFinding, ...]) -> None:
    if any(finding.action == "reject" for finding in findings):
        raise InputError((UNUSUAL,), hint="the log `modelkeep.guard` of this device says more")


def open_session(
    path: str | os.PathLike[str],
    *,
    identity: Identity,
    verifier: BundleVerifier,
    grant_file: str | os.PathLike[str] | None = None,
    proved: frozenset[str] = frozenset(),
    runtime: str | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> Session:
    """Opens a sealed model for inference; nothing of it reaches a runtime before all checks passed.

    Args:
        path: the bundle, as a file or a folder.
        identity: the key of this device.
        verifier: whom to trust, and which model and release to accept.
        grant_file: look for the grant there instead of in the bundle and its sidecar.
        proved: device states proved beforehand, for grants that require some.
        runtime: name of the adapter, where a format has several.
        progress: told the bytes that are decrypted; called from several threads.
        options: passed on to the runtime's adapter, for example `session_options` for ONNX Runtime.

    Raises:
        KeepError: the subclass says what the caller does next; see `modelkeep.errors`.
    """
    with (
        unlocked(path, identity=identity, verifier=verifier, grant_file=grant_file, proved=proved) as bundle,
        ExitStack() as memory_on_error,
    ):
        inner = bundle.inner_manifest()
        if inner.entry is None:
            raise UsageError("this bundle holds files, but no model that a runtime could load")
        # Read before the weights are: a profile that cannot be applied ends the opening.
        guard = None if inner.guard is None else Guard(parse_profile(inner.guard))
        adapter = open_runtime(inner.format, runtime)
        memory: dict[str, Pages | BytesPages] = {}
        for index, file in enumerate(inner.files, start=1):
            size = bundle.manifest.members[index].size
            pages = _allocate(size, as_bytes=adapter.wants_bytes(inner.entry, file.path))
            memory_on_error.enter_context(pages)
            memory[file.path] = pages
            bundle.decrypt(index, pages.view, progress)
        runner = adapter.load(_loaded(inner.format, inner.entry, memory), options)
        memory_on_error.pop_all()
        kept = _wipe_what_is_not_borrowed(memory, runner.borrowed)
        return Session(runner, kept, inner.contract, _report(bundle, inner, kept), guard)


def _allocate(size: int, *, as_bytes: bool) -> Pages | BytesPages:
    return BytesPages.allocate(size) if as_bytes else Pages.allocate(size)


def _loaded(model_format: str, entry: str, memory: Mapping[str, Pages | BytesPages]) -> LoadedModel:
    whole = {path: pages.value for path, pages in memory.items() if isinstance(pages, BytesPages)}
    return LoadedModel(model_format, entry, {path: pages.view for path, pages in memory.items()}, whole)


def _wipe_what_is_not_borrowed(
    memory: Mapping[str, Pages | BytesPages], borrowed: frozenset[str]
) -> dict[str, Pages | BytesPages]:
    for path, pages in memory.items():
        if path not in borrowed:
            pages.close()
    return {path: pages for path, pages in memory.items() if path in borrowed}


def _report(bundle: Opened, inner: InnerManifest, memory: Mapping[str, Pages | BytesPages]) -> Report:
    manifest, provenance = bundle.manifest, bundle.provenance
    held = memory_report(*memory.values())
    return Report(
        model=manifest.model,
        release=manifest.release,
        epoch=manifest.epoch,
        bundle=manifest.bundle.hex(),
        signer=provenance.signer,
        device_id=provenance.device_id,
        not_after=provenance.constraints.not_after,
        installed=provenance.installed,
        memory=held,
        notes=tuple(_notes(bundle, inner, held)),
    )


def _notes(bundle: Opened, inner: InnerManifest, held: MemoryReport) -> list[str]:
    notes = []
    if bundle.provenance.signer is None:
        notes.append("the publisher was not checked: anybody could have made this bundle")
    if held.unlocked_bytes:
        notes.append(f"{held.unlocked_bytes} bytes of the model may be swapped out (raise RLIMIT_MEMLOCK)")
    if bundle.provenance.constraints.not_after is not None:
        notes.append("expiry is advisory: the clock of this device is not protected")
    if inner.contract is None:
        notes.append(f"inputs are not checked: models of format {inner.format!r} have no contract")
    return notes
