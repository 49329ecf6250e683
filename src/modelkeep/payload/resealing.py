"""From one key to another: segments are decrypted and encrypted anew, in memory that is wiped."""

from __future__ import annotations

from modelkeep.memory import Pages
from modelkeep.payload.cipher import StreamCipher, body, sealed_length
from modelkeep.payload.layout import HEADER, SEGMENT, plain_range, sealed_size, segment_count


class Resealer:
    """Encrypts segments of a stream under another cipher; for one thread, and to be closed.

    Args:
        size: length of the stream's plaintext in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._last = segment_count(size) - 1
        self._plain = Pages.allocate(min(SEGMENT, size))
        self._sealed = memoryview(bytearray(min(SEGMENT, sealed_size(size))))

    def __enter__(self) -> Resealer:
        return self

    def __exit__(self, *_details: object) -> None:
        self._plain.close()

    def reseal(self, index: int, sealed: memoryview, old: StreamCipher, new: StreamCipher) -> memoryview:
        """Returns segment `index`, which is `sealed` under `old`, as `new` seals it.

        What is returned is overwritten by the next call.

        Raises:
            TamperedError: it is not sealed under `old`.
        """
        start, end = plain_range(index, self._size)
        plain = self._plain.view[: end - start]
        resealed = self._sealed[: sealed_length(index, end - start)]
        old.decrypt(index, index == self._last, body(index, sealed), plain)
        if index == 0:
            resealed[:HEADER] = new.header
        new.encrypt(index, index == self._last, plain, body(index, resealed))
        return resealed
