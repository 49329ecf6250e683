"""What is there already is checked as it came: encrypted again, and held against the signed leaves.

Neither a map nor a journal is believed about it: what a power cut tore, and what somebody exchanged, is
found, and fetched again. Source: spec/update-v1.md, "Resuming".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from modelkeep.bundle.arriving import ArrivingMember
from modelkeep.errors import TamperedError
from modelkeep.payload.cipher import StreamCipher
from modelkeep.payload.resealing import Resealer
from modelkeep.payload.segments import Extent, WholeSha256, check_leaf
from modelkeep.payload.workers import InTurn, SegmentWork, Workers, thread_count


class Recheck:
    """Counts the first segments of a stream that are there as they arrived.

    Args:
        member: the stream.
        extent: where it is, encrypted under `installed`.
        installed: its cipher here.
        arrived: its cipher in the bundle.
        whole: takes the segments that are good.
    """

    def __init__(
        self,
        member: ArrivingMember,
        extent: Extent,
        installed: StreamCipher,
        arrived: StreamCipher,
        whole: WholeSha256,
    ) -> None:
        self._member, self._extent, self._whole = member, extent, whole
        self._installed, self._arrived = installed, arrived
        self._good = 0
        self._ended = False

    def run(self) -> int:
        """Returns how many there are, before the first one that is missing or is not what was signed."""
        Workers(self._member.count).run(thread_count(self._member.size), self._prepare)
        return self._good

    @contextmanager
    def _prepare(self) -> Iterator[SegmentWork]:
        scratch = self._extent.scratch()
        with Resealer(self._member.size) as resealer:
            yield lambda index: self._check(index, scratch, resealer)

    def _check(self, index: int, scratch: memoryview, resealer: Resealer) -> InTurn:
        return partial(self._count, None if self._ended else self._as_it_came(index, scratch, resealer))

    def _as_it_came(self, index: int, scratch: memoryview, resealer: Resealer) -> memoryview | None:
        try:
            sealed = resealer.reseal(
                index, self._extent.read_segment(index, scratch), self._installed, self._arrived
            )
            check_leaf(index, sealed, self._member.leaves, self._member.algorithm)
        except TamperedError:
            return None
        return sealed

    def _count(self, sealed: memoryview | None) -> None:
        if sealed is None or self._ended:
            self._ended = True
            return
        self._whole.take(sealed)
        self._good += 1
