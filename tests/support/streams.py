"""Sealed streams in memory, and a second implementation that opens them by the book."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep.manifest import LeafAlgorithm, Suite
from modelkeep.payload import stream
from modelkeep.payload.cipher import StreamCipher, associated_data, new_header
from modelkeep.payload.layout import sealed_size
from modelkeep.payload.segments import Extent
from modelkeep.payload.source import MemorySource
from modelkeep.payload.stream import StreamDigests

KEY = bytes(range(32))
ASSOCIATED = associated_data(Suite.AES256_GCM_HKDF_1MB, bytes(16), 1)


def cipher_for(header: bytes, suite: Suite = Suite.AES256_GCM_HKDF_1MB) -> StreamCipher:
    """Returns the cipher of a stream under the test key."""
    return StreamCipher(suite, memoryview(bytearray(KEY)), ASSOCIATED, header)


def seal_stream(
    plain: bytes, suite: Suite = Suite.AES256_GCM_HKDF_1MB, algorithm: LeafAlgorithm = LeafAlgorithm.BLAKE3
) -> tuple[bytes, StreamDigests]:
    """Returns the sealed stream of `plain` and its digests."""
    descriptor = os.memfd_create("sealed")
    try:
        digests = stream.encrypt(
            MemorySource(memoryview(plain)),
            Extent(descriptor, 0, len(plain)),
            cipher_for(new_header(), suite),
            algorithm,
            whole_sha256=True,
        )
        return os.pread(descriptor, sealed_size(len(plain)) + 1, 0), digests
    finally:
        os.close(descriptor)


def open_stream(
    path: Path, size: int, leaves: bytes, suite: Suite = Suite.AES256_GCM_HKDF_1MB, *, offset: int = 0
) -> bytes:
    """Returns the plaintext of the stream in a file, checked against `leaves`."""
    plain = bytearray(size)
    with path.open("rb") as file:
        extent = Extent(file.fileno(), offset, size)
        stream.decrypt(
            extent,
            lambda header: cipher_for(header, suite),
            leaves,
            LeafAlgorithm.BLAKE3,
            memoryview(plain),
        )
    return bytes(plain)


def open_by_the_book(sealed: bytes, suite: Suite) -> bytes:
    """Returns the plaintext of a stream, decrypted front to back as the layout is written down."""
    salt, prefix = sealed[1:33], sealed[33:40]
    key = HKDF(hashes.SHA256(), 32, salt, ASSOCIATED).derive(KEY)
    aead = AESGCM(key) if suite is Suite.AES256_GCM_HKDF_1MB else ChaCha20Poly1305(key)
    pieces = [sealed[start : start + 2**20] for start in range(0, len(sealed), 2**20)]
    pieces[0] = pieces[0][40:]
    plain = b""
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        plain += aead.decrypt(prefix + struct.pack(">IB", number, last), piece, None)
    return plain
