"""Memory of the kind that a runtime wants, and the model that lies in it."""

from __future__ import annotations

from collections.abc import Mapping

from modelkeep.memory import BytesPages, Memory, MemoryFile, Pages
from modelkeep.runtimes.registry import LoadedModel, Runtime


def allocate(runtime: type[Runtime], entry: str, path: str, size: int) -> Memory:
    """Returns memory for the file `path`, of `size` bytes, of a model with main file `entry`.

    Raises:
        UnavailableError: there is not enough memory, or not of that kind on this system.
    """
    if runtime.wants_bytes(entry, path):
        return BytesPages.allocate(size)
    return MemoryFile.allocate(size) if runtime.wants_path(entry, path) else Pages.allocate(size)


def loaded_model(model_format: str, entry: str, memory: Mapping[str, Memory]) -> LoadedModel:
    """Returns the model whose files, keyed by path, are complete in `memory`."""
    files = {path: pages.view for path, pages in memory.items()}
    whole = {path: pages.value for path, pages in memory.items() if isinstance(pages, BytesPages)}
    places = {path: pages.path for path, pages in memory.items() if isinstance(pages, MemoryFile)}
    return LoadedModel(model_format, entry, files, whole, places)
