"""Files: the decrypted files of a bundle under paths, for programs that insist on a path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Self

from modelkeep.bundle.access import Access, IdentityLike, unlock
from modelkeep.memory import MemoryFile
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.trust.bundle_verifier import BundleVerifier


class Files(Mapping[str, str]):
    """Name inside the bundle -> a path that this process can open, until the block is left.

    The files lie in memory, never on a disk. Programs that are started reach them when they inherit
    the descriptors: ``subprocess.run([program, files["model.bin"]], pass_fds=files.descriptors)``.
    They can be read by whoever may open descriptors of this process; nobody can write them.

    Attributes:
        entry: name of the file that a runtime would be handed, or None.
    """

    def __init__(self, entry: str | None, memory: Mapping[str, MemoryFile]) -> None:
        self.entry = entry
        self._memory = dict(memory)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors behind the paths, for `pass_fds`."""
        return tuple(file.descriptor for file in self._memory.values())

    def __getitem__(self, name: str) -> str:
        return self._memory[name].path

    def __iter__(self) -> Iterator[str]:
        return iter(self._memory)

    def __len__(self) -> int:
        return len(self._memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Wipes the files, for whoever still has them open too; again does nothing."""
        for file in self._memory.values():
            file.close()
        self._memory.clear()


def open_files(
    path: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    grant_file: str | os.PathLike[str] | None = None,
    posture: Iterable[str] = (),
    progress: Progress = no_progress,
) -> Files:
    """Decrypts the files of a bundle into memory and gives them paths; Linux only.

    Args:
        path: the bundle, as a file or a folder.
        identity: the key of this device, or its URI.
        verifier: whom to trust, and which model and release to accept.
        grant_file: look for the grant there instead of in the bundle and its sidecar.
        posture: names of what this device was found to be, for grants that demand some.
        progress: told the bytes that are decrypted; called from several threads.

    Raises:
        UnavailableError: not enough memory, or this is not Linux.
        KeepError: as for opening a session.
    """
    with (
        Access(identity, verifier, grant_file, posture) as access,
        unlock(path, access) as bundle,
        ExitStack() as memory_on_error,
    ):
        inner = bundle.inner_manifest()
        memory: dict[str, MemoryFile] = {}
        for index, file in inner.model_files():
            memory[file] = MemoryFile.allocate(bundle.manifest.members[index].size)
            memory_on_error.enter_context(memory[file])
            bundle.decrypt(index, memory[file].view, progress)
        memory_on_error.pop_all()
        return Files(inner.entry, memory)
