"""Loading a model into this process: from an unlocked bundle to a runner, its memory and its report."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from modelkeep.bundle.unlocked import Unlocked
from modelkeep.inner_manifest import Entry, InnerManifest
from modelkeep.memory import Memory
from modelkeep.memory import report as memory_report
from modelkeep.opening_report import Report, opening_report
from modelkeep.payload.stream import Progress
from modelkeep.runtimes.loading import allocate, keep_borrowed, loaded_model
from modelkeep.runtimes.registry import Runner, open_runtime


def load_in_process(
    bundle: Unlocked,
    inner: InnerManifest,
    chosen: Entry,
    runtime: str | None,
    progress: Progress,
    options: Mapping[str, Any],
) -> tuple[Runner, dict[str, Memory], Report]:
    """Decrypts the files of an entry and hands them to the runtime.

    Returns:
        What runs the model, the memory that it still borrows, and what was checked.

    Raises:
        RuntimeMissingError: the runtime is not installed.
        KeepError: what decrypting and loading raise.
    """
    adapter = open_runtime(chosen.format, runtime)
    memory: dict[str, Memory] = {}
    with ExitStack() as memory_on_error:
        for index, file in inner.files_for(chosen):
            size = bundle.manifest.members[index].size
            memory[file] = memory_on_error.enter_context(allocate(adapter, chosen.path, file, size))
            bundle.decrypt(index, memory[file].view, progress)
        runner = adapter.load(loaded_model(chosen.format, chosen.path, memory, chosen.function), options)
        memory_on_error.pop_all()
    kept = keep_borrowed(memory, runner.borrowed)
    return runner, kept, opening_report(bundle, chosen, memory_report(*kept.values()), None)
