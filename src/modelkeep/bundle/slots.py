"""Where each file of an archive goes. Source: spec/bundle-v1.md, "Container"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelkeep.bundle import names, tar


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
