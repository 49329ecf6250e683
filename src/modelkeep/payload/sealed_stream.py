"""Everything but the key and the bytes that decrypting one stream takes."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from modelkeep.manifest import LeafAlgorithm, Suite
from modelkeep.payload import stream
from modelkeep.payload.cipher import StreamCipher
from modelkeep.payload.segments import Extent
from modelkeep.payload.stream import Progress, no_progress


class SealedStream(NamedTuple):
    """A stream whose signed description was verified.

    Attributes:
        suite: how it is encrypted.
        associated: its associated data: where it belongs.
        leaf_algorithm: hash of the leaves.
        leaves: the signed leaf digests, or None where the device itself encrypted the stream.
    """

    suite: Suite
    associated: bytes
    leaf_algorithm: LeafAlgorithm
    leaves: bytes | None

    def decrypt(
        self, extent: Extent, key: memoryview, destination: memoryview, progress: Progress = no_progress
    ) -> None:
        """Checks and decrypts the stream at `extent`; on an error nothing of it may be used.

        Args:
            extent: where the stream is.
            key: the 32 bytes that the streams of a bundle have in common.
            destination: writable memory of `extent.size` bytes.
            progress: told the plaintext bytes of each finished segment; called from several threads.

        Raises:
            TamperedError: it is not what was signed or installed.
            OSError: the file cannot be read.
        """
        make_cipher = partial(StreamCipher, self.suite, key, self.associated)
        if self.leaves is None:
            stream.decrypt_installed(extent, make_cipher, destination, progress=progress)
            return
        stream.decrypt(extent, make_cipher, self.leaves, self.leaf_algorithm, destination, progress=progress)
