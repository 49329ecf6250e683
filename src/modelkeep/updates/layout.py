"""Where everything goes in the file of an installation that is still being made.

It is the archive that it will be, of which all but the payload is written first. Behind its end lies
the journal: for each member the 40 header bytes of the stream that arrived, with which the device can
encrypt a segment again as it came. While the journal is there, the file is no archive.
Source: spec/update-v1.md, "The file in the making".
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from modelkeep.container import names, tar
from modelkeep.container.slots import Slot, lay_out, write_frame
from modelkeep.payload.layout import HEADER, sealed_size
from modelkeep.payload.segments import Extent
from modelkeep.payload.source import read_fully
from modelkeep.storage import write_at


@dataclass(frozen=True)
class Layout:
    """Where everything goes.

    Attributes:
        small: the files in front of the payload, by name.
        sizes: the plaintext bytes of each member.
    """

    small: Mapping[str, bytes]
    sizes: tuple[int, ...]

    @cached_property
    def slots(self) -> Mapping[str, Slot]:
        """The places of the files."""
        sizes = {name: len(content) for name, content in self.small.items()}
        return lay_out(sizes | {names.payload(i): sealed_size(size) for i, size in enumerate(self.sizes)})

    @cached_property
    def end(self) -> int:
        """Length of the finished archive in bytes."""
        return max(slot.end for slot in self.slots.values()) + len(tar.END)

    @property
    def length(self) -> int:
        """Length of the file in bytes while it is being made."""
        return self.end + HEADER * len(self.sizes)

    def extent(self, descriptor: int, member: int) -> Extent:
        """Returns where the stream of `member` goes."""
        return Extent(descriptor, self.slots[names.payload(member)].data_offset, self.sizes[member])

    def journal(self, member: int) -> int:
        """Returns where the header of the stream that arrived is noted."""
        return self.end + HEADER * member

    def write(self, descriptor: int, headers: list[bytes]) -> None:
        """Makes room in an empty file, and writes all but what arrives; `headers` are the new streams'.

        Raises:
            OSError: there is no room, or it cannot be written.
        """
        _reserve(descriptor, self.length)
        write_frame(descriptor, self.slots)
        os.ftruncate(descriptor, self.length)
        for name, content in self.small.items():
            write_at(descriptor, memoryview(content), self.slots[name].data_offset)
        for member, header in enumerate(headers):
            write_at(descriptor, memoryview(header), self.extent(descriptor, member).offset)

    def is_in(self, descriptor: int) -> bool:
        """Returns whether the file holds exactly this, whatever payload and journal are."""
        if os.fstat(descriptor).st_size not in (self.end, self.length):
            return False
        streams = [read_header(descriptor, self.extent(descriptor, i).offset) for i in range(len(self.sizes))]
        return all(header[:1] == bytes([HEADER]) for header in streams) and all(
            _read(descriptor, slot.data_offset - len(slot.front), len(slot.front) + len(content))
            == slot.front + content
            for slot, content in ((slot, self.small.get(name, b"")) for name, slot in self.slots.items())
        )


def _reserve(descriptor: int, length: int) -> None:
    if not hasattr(os, "posix_fallocate"):  # macOS finds out later
        return
    try:
        os.posix_fallocate(descriptor, 0, length)
    except OSError as error:
        # Nothing of it is kept where there is no room for all of it.
        os.ftruncate(descriptor, 0)
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise


def read_header(descriptor: int, offset: int) -> bytes:
    """Returns the 40 bytes at `offset`; fewer where the file ends."""
    return _read(descriptor, offset, HEADER)


def _read(descriptor: int, offset: int, size: int) -> bytes:
    data = bytearray(size)
    return bytes(data[: read_fully(descriptor, memoryview(data), offset)])
