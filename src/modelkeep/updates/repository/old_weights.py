"""Old weights under a new epoch: the only way back, since no device ever takes an older release.

The old bundle is opened with the key of somebody who may grant it, and its model is sealed anew: one file at
a time in memory, which is wiped, and never on a disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelkeep.bundle.access import Access, unlock_bundle
from modelkeep.bundle.unlocked import Unlocked
from modelkeep.memory import Pages
from modelkeep.model import Model
from modelkeep.payload.source import MemorySource, OpenSource
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.sealing import seal


def seal_again(
    bundle: Path, target: Path, access: Access, *, progress: Progress = no_progress, **settings: Any
) -> Path:
    """Seals the model of a bundle into a new one.

    Args:
        bundle: the old one.
        target: the new one; it must not be there.
        access: with which key the old one is opened, and whom to trust.
        progress: told the plaintext bytes of each finished segment; called from several threads.
        settings: as for `seal`, without `source`: `model`, `epoch`, `signer`, `to`, ...

    Raises:
        NotForThisDeviceError: the key may not grant the old bundle.
        RefusedError, MalformedError: the old bundle is not what was signed, or is revoked.
        UsageError, StorageError: as for `seal` and `Draft.save`.
    """
    with unlock_bundle(bundle, access, delegating=True) as unlocked:
        return seal(_model(unlocked), **settings).save(target, progress=progress)


def _model(unlocked: Unlocked) -> Model:
    inner = unlocked.inner_manifest()
    sources = {file.path: _SealedSource(unlocked, number) for number, file in enumerate(inner.files, start=1)}
    return Model(
        inner.format,
        inner.entry,
        dict(sorted(sources.items())),
        inner.contract,
        inner.guard,
        inner.function,
        inner.others,
        inner.golden,
    )


class _SealedSource:
    """A file of an unlocked bundle, in memory while it is open."""

    def __init__(self, unlocked: Unlocked, number: int) -> None:
        self._unlocked, self._number = unlocked, number
        self.size = unlocked.manifest.members[number].size

    @contextmanager
    def open(self) -> Iterator[OpenSource]:
        """Decrypts it, and wipes it afterwards."""
        with Pages.allocate(self.size) as pages:
            self._unlocked.decrypt(self._number, pages.view)
            with MemorySource(pages.view).open() as opened:
                yield opened
