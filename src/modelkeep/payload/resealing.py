"""From one key to another: a signed stream is checked and encrypted anew, segment by segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelkeep.manifest import LeafAlgorithm
from modelkeep.memory import Pages
from modelkeep.payload.cipher import StreamCipher, body, sealed_length
from modelkeep.payload.layout import HEADER, SEGMENT, plain_range, segment_count
from modelkeep.payload.segments import Extent, SignedSegments, WholeSha256
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.payload.workers import SegmentWork, Workers, thread_count
from modelkeep.storage import write_at


def reseal(
    extent: Extent,
    make_cipher: Callable[[bytes], StreamCipher],
    leaves: bytes,
    algorithm: LeafAlgorithm,
    target: Extent,
    target_cipher: StreamCipher,
    *,
    sha256: bytes | None = None,
    progress: Progress = no_progress,
) -> None:
    """Checks a signed stream and encrypts it anew under another key, segment by segment.

    Args:
        extent: where the signed stream is.
        make_cipher: builds its cipher from its 40 header bytes.
        leaves: the signed leaf digests.
        algorithm: hash of the leaves.
        target: where the new stream goes; of the same plaintext size.
        target_cipher: its cipher.
        sha256: signed SHA-256 of the whole stream, where there is one.
        progress: told the plaintext bytes of each finished segment; called from several threads.

    Raises:
        TamperedError: something is not what was signed; the new stream must be thrown away.
        OSError: a file cannot be read or written.
    """
    segments = SignedSegments(extent, leaves, algorithm)
    cipher = make_cipher(segments.header())
    workers = Workers(segment_count(extent.size))
    whole = WholeSha256(workers, sha256)
    last = segment_count(extent.size) - 1

    @contextmanager
    def prepare() -> Iterator[SegmentWork]:
        scratch, sealed = extent.scratch(), extent.scratch()
        with Pages.allocate(min(SEGMENT, extent.size)) as pages:

            def work(index: int) -> None:
                start, end = plain_range(index, extent.size)
                plain, new = pages.view[: end - start], sealed[: sealed_length(index, end - start)]
                old = segments.read(index, scratch)
                whole.update(index, old)
                cipher.decrypt(index, index == last, body(index, old), plain)
                if index == 0:
                    new[:HEADER] = target_cipher.header
                target_cipher.encrypt(index, index == last, plain, body(index, new))
                write_at(target.descriptor, new, target.offset + index * SEGMENT)
                progress(end - start)

            yield work

    workers.run(thread_count(extent.size), prepare)
    whole.check()
