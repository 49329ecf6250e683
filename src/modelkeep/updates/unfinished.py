"""An installation that is being made: its key, its file, and what of it is there already.

What is encrypted at a place is a function of what the install key is bound to: its header names the
manifest, which fixes the leaves, and leaf 0 of a stream fixes the header that it arrived with. So a
segment that is written twice is the same ciphertext, and what the file says can cost time, never a nonce.
Source: spec/update-v1.md, "Resuming".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from modelkeep.bundle.install_key import INSTALL_KEY_BYTES, payload_key
from modelkeep.bundle.install_record import InstallHeader, InstallRecord, first_record, wrapping_context
from modelkeep.bundle.rollback import Remembered
from modelkeep.container import names
from modelkeep.container.front import Front
from modelkeep.device.contents_json import INSTALLATION_BYTES
from modelkeep.device.marks import Mark
from modelkeep.errors import TamperedError
from modelkeep.memory import Pages, wipe
from modelkeep.memory.randomness import fill_random, random_bytes
from modelkeep.payload.cipher import StreamCipher, installed_associated_data, new_header
from modelkeep.payload.layout import SEGMENT
from modelkeep.payload.segments import Extent
from modelkeep.storage import sync_data, write_at
from modelkeep.updates.layout import Layout, read_header
from modelkeep.updates.place import Place

# What a power cut costs at most is fetched again.
_BETWEEN_SYNCS = 4 * SEGMENT


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed: verified, granted, and no older than what counts here.

    Attributes:
        header: the header of the installation, whose own id is not decided yet.
        front: the documents that were verified.
        sizes: the plaintext bytes of each member.
        mark: the release, and who signed it.
    """

    header: InstallHeader
    front: Front
    sizes: tuple[int, ...]
    mark: Mark

    def layout(self, record: bytes) -> Layout:
        """Returns where everything goes in the installation with this record."""
        return Layout({names.INSTALL: record, **self.front.files()}, self.sizes)


class CompletedError(Exception):
    """Somebody else has brought the same installation to its end meanwhile."""


class Unfinished:
    """An installation in the making, in an open file; a context manager that wipes its key.

    Attributes:
        installation: its id.
        has_payload: whether some of its payload may be there from an earlier try.
    """

    def __init__(
        self, layout: Layout, header: InstallHeader, place: Place, key: Pages, *, has_payload: bool
    ) -> None:
        self.installation = header.installation
        self.has_payload = has_payload
        self._suite = header.suite
        self._layout = layout
        self._place = place
        self._descriptor = place.descriptor
        self._key = key
        self._unsynced = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self._key.close()

    @property
    def is_complete(self) -> bool:
        """Whether everything is there, and was synced: the journal is cut off last."""
        return os.fstat(self._descriptor).st_size == self._layout.end

    def extent(self, member: int) -> Extent:
        """Returns where the stream of `member` is."""
        return self._layout.extent(self._descriptor, member)

    def cipher(self, member: int) -> StreamCipher:
        """Returns what encrypts the stream of `member`.

        Raises:
            TamperedError: the file was changed.
        """
        associated = installed_associated_data(self._suite, self.installation, member)
        header = read_header(self._descriptor, self.extent(member).offset)
        return StreamCipher(self._suite, self._key.view, associated, header)

    def noted_header(self, member: int) -> bytes:
        """Returns the header that the stream of `member` arrived with, if it was noted."""
        return read_header(self._descriptor, self._layout.journal(member))

    def note_header(self, member: int, header: bytes) -> None:
        """Notes the header that the stream of `member` arrived with."""
        with self._writing():
            write_at(self._descriptor, memoryview(header), self._layout.journal(member))

    def write(self, member: int, index: int, sealed: memoryview) -> None:
        """Writes segment `index` of `member`, and every few of them for good."""
        with self._writing():
            write_at(self._descriptor, sealed, self.extent(member).offset + index * SEGMENT)
        self._unsynced += len(sealed)
        if self._unsynced >= _BETWEEN_SYNCS:
            sync_data(self._descriptor)
            self._unsynced = 0

    def finish(self) -> None:
        """Makes an archive of it, when all of it is on the disk."""
        sync_data(self._descriptor)
        with self._writing():
            os.ftruncate(self._descriptor, self._layout.end)
            os.fsync(self._descriptor)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._place.held():
            if self.is_complete:
                raise CompletedError
            yield


def begin(wanted: Wanted, place: Place, remembered: Remembered) -> Unfinished:
    """Reserves the disk and begins a new installation in place of whatever the file holds.

    Raises:
        RollbackError: a newer release was installed meanwhile.
        OSError: there is no room, or it cannot be written.
        KeyStoreError: the device's key cannot be used.
    """
    header = wanted.header._replace(installation=random_bytes(INSTALLATION_BYTES))
    replaced = first_record(place.descriptor)
    with Pages.allocate(INSTALL_KEY_BYTES) as install_key:
        fill_random(install_key.view)
        data = header.to_bytes()
        wrapped = remembered.state.local.wrap(install_key.view, wrapping_context(data))
        layout = wanted.layout(InstallRecord(header, data, wrapped).to_bytes())
        place.renew()
        layout.write(place.descriptor, [new_header() for _ in wanted.sizes])
        os.fsync(place.descriptor)
        secret = remembered.stage(
            header.model,
            header.installation,
            wanted.mark,
            replaced=None if replaced is None else replaced.header.installation,
        )
        key = payload_key(install_key.view, secret)
    return Unfinished(layout, header, place, key, has_payload=False)


def resume(wanted: Wanted, place: Place, remembered: Remembered) -> Unfinished | None:
    """Returns the installation that the file holds part of; None where it holds none of what is wanted.

    Raises:
        OSError: the file cannot be read.
        KeyStoreError: the device's key cannot be used.
    """
    record = first_record(place.descriptor)
    if record is None or record.header != wanted.header._replace(installation=record.header.installation):
        return None
    layout = wanted.layout(record.to_bytes())
    # Read once more: another process may have begun it while the front arrived.
    known = remembered.state.look().installed(record.header.model, record.header.installation)
    if known is None or known.mark != wanted.mark or not layout.is_in(place.descriptor):
        return None
    try:
        install_key = remembered.state.local.unwrap(record.wrapped, wrapping_context(record.header_bytes))
    except TamperedError:
        return None
    key = payload_key(install_key, known.secret)
    wipe(install_key)
    return Unfinished(layout, record.header, place, key, has_payload=True)
