"""Memory of the kind that a runtime wants, and the model that lies in it."""

from __future__ import annotations

from collections.abc import Mapping

from modelkeep.errors import UsageError
from modelkeep.memory import BytesPages, Memory, MemoryFile, Pages, SecretPages
from modelkeep.runtimes.registry import LoadedModel, Runtime


def allocate(runtime: type[Runtime], entry: str, path: str, size: int, *, secret: bool = False) -> Memory:
    """Returns memory for the file `path`, of `size` bytes, of a model with main file `entry`.

    Args:
        runtime: the adapter, which says what kind it wants.
        entry: path of the main file.
        path: path of this file.
        size: its length in bytes.
        secret: memory that no other process can read, or an error.

    Raises:
        UnavailableError: there is not enough memory, or not of that kind on this system.
        UsageError: `secret`, but the runtime takes no memory of ours.
    """
    if secret:
        if runtime.wants_bytes(entry, path) or runtime.wants_path(entry, path):
            raise UsageError(
                f"{runtime.name} cannot compute on secret memory", hint="leave `secret` out for this runtime"
            )
        return SecretPages.allocate(size)
    if runtime.wants_bytes(entry, path):
        return BytesPages.allocate(size)
    return MemoryFile.allocate(size) if runtime.wants_path(entry, path) else Pages.allocate(size)


def loaded_model(
    model_format: str, entry: str, memory: Mapping[str, Memory], function: str | None = None
) -> LoadedModel:
    """Returns the model whose files, keyed by path, are complete in `memory`; see `LoadedModel`."""
    files = {path: pages.view for path, pages in memory.items()}
    whole = {path: pages.value for path, pages in memory.items() if isinstance(pages, BytesPages)}
    places = {path: pages.path for path, pages in memory.items() if isinstance(pages, MemoryFile)}
    return LoadedModel(model_format, entry, files, whole, places, function)


def keep_borrowed(memory: Mapping[str, Memory], borrowed: frozenset[str]) -> dict[str, Memory]:
    """Wipes the files that a runner has not borrowed; returns the others."""
    for path, pages in memory.items():
        if path not in borrowed:
            pages.close()
    return {path: pages for path, pages in memory.items() if path in borrowed}
