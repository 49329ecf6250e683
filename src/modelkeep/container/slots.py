"""Where each file of an archive goes. Source: spec/bundle-v1.md, "Container"."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from modelkeep.container import names, tar
from modelkeep.storage import write_at


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one file.

    Attributes:
        front: padding and header, written right before the content.
        data_offset: where the content begins.
        size: length of the content in bytes.
    """

    front: bytes
    data_offset: int
    size: int

    @property
    def end(self) -> int:
        """Where the next slot begins."""
        return self.data_offset + tar.round_up(self.size)


def write_frame(descriptor: int, slots: Mapping[str, Slot]) -> None:
    """Writes everything of a new archive that is not content.

    Raises:
        OSError: the write failed.
    """
    for slot in slots.values():
        write_at(descriptor, memoryview(slot.front), slot.data_offset - len(slot.front))
    end = max(slot.end for slot in slots.values())
    # Everything between contents is zeros, which is what a new file has where nobody wrote.
    os.ftruncate(descriptor, end + len(tar.END))


def lay_out(sizes: Mapping[str, int]) -> dict[str, Slot]:
    """Returns a slot for every file, in the given order; payload is aligned to 4096 bytes."""
    slots: dict[str, Slot] = {}
    position = 0
    for name, size in sizes.items():
        front = tar.header(name, size)
        if name.startswith(f"{names.PAYLOAD}/"):
            front = tar.pad_before(position) + front
        slots[name] = Slot(front, position + len(front), size)
        position = slots[name].end
    return slots
