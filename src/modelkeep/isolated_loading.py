"""Loading a model into a process of its own: from an unlocked bundle to a runner and its report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from modelkeep.bundle.unlocked import Unlocked
from modelkeep.errors import UnavailableError, UsageError
from modelkeep.inner_manifest import Entry, InnerManifest
from modelkeep.isolation import ProcessIsolation
from modelkeep.opening_report import Report, opening_report
from modelkeep.payload.stream import Progress
from modelkeep.runtimes.registry import Runner

if TYPE_CHECKING:
    from modelkeep.isolation.protocol import SealedFile

Isolation = Literal["in-process", "process"] | ProcessIsolation


def _settings(isolation: Isolation) -> ProcessIsolation:
    """Returns the settings of the process that `isolation` asks for.

    Raises:
        UsageError: no such isolation.
    """
    match isolation:
        case "process":
            return ProcessIsolation()
        case ProcessIsolation():
            return isolation
    raise UsageError(
        f"no such isolation: {isolation!r}", hint="'in-process', 'process', or a ProcessIsolation"
    )


def begin(isolation: Isolation) -> None:
    """Starts what processes are copied from; it gets ready while the bundle is unlocked.

    Raises:
        UnavailableError: it does not start, or this is not Linux.
        UsageError: no such isolation.
    """
    settings = _settings(isolation)
    if sys.platform != "linux":
        raise UnavailableError("isolated processes need Linux", hint="leave `isolation` out")
    if not settings.fresh:
        from modelkeep.isolation.preparation import PREPARATION

        PREPARATION.begin()


def load_isolated(
    bundle: Unlocked,
    inner: InnerManifest,
    chosen: Entry,
    isolation: Isolation,
    runtime: str | None,
    progress: Progress,
    options: Mapping[str, object],
) -> tuple[Runner, Report]:
    """Starts the process and has it load the model; the host never holds the plaintext.

    Raises:
        UsageError: options that cannot be handed over.
        RuntimeCrashedError, RuntimeTimeoutError: the process ended, or took too long.
        KeepError: what the process reported.
    """
    from modelkeep.isolation.opening import open_process
    from modelkeep.isolation.protocol import Opening

    settings = _settings(isolation)
    files = tuple(inner.files_for(chosen))
    opening = Opening(
        format=chosen.format,
        entry=chosen.path,
        function=chosen.function,
        runtime=runtime,
        options=options,
        secret=settings.secret,
        memory_limit=settings.memory_limit,
        files=len(files),
    )
    runner, hardening, held = open_process(
        opening,
        _sealed_files(bundle, files),
        bundle.payload_key,
        settings=settings,
        progress=progress,
    )
    return runner, opening_report(bundle, chosen, held, hardening)


def _sealed_files(bundle: Unlocked, files: Iterable[tuple[int, str]]) -> Iterator[SealedFile]:
    from modelkeep.isolation.protocol import SealedFile

    for index, path in files:
        with bundle.open_stream(index) as extent:
            yield SealedFile(path, bundle.sealed_stream(index), extent)
