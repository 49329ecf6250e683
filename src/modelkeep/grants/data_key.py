"""The data key: 32 random bytes per seal. Source: spec/bundle-v1.md, "Keys"; RFC 5869 (HKDF)."""

from __future__ import annotations

import hmac
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep.errors import MalformedError, TamperedError
from modelkeep.memory import Pages
from modelkeep.memory.randomness import fill_random

DATA_KEY_BYTES = 32
COMMITMENT_BYTES = 32

_COMMIT_LABEL = b"modelkeep/v1/commit"
_PAYLOAD_LABEL = b"modelkeep/v1/payload"


class DataKey:
    """A data key in wipeable memory; close it, or use it as a context manager.

    AES-GCM ciphertext can be made to open under two keys. The commitment, which the publisher
    signs, is what fixes the key: whoever unwraps a data key checks it before using it.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    @classmethod
    def generate(cls) -> Self:
        """Returns a new random data key.

        Raises:
            KeyStoreError: the random generator cannot be reached.
        """
        key = cls(Pages.allocate(DATA_KEY_BYTES))
        fill_random(key.view)
        return key

    @classmethod
    def from_buffer(cls, buffer: bytearray | memoryview) -> Self:
        """Returns a data key with a copy of the 32 bytes in `buffer`; wiping `buffer` is the caller's.

        Raises:
            MalformedError: `buffer` has another length.
        """
        if len(buffer) != DATA_KEY_BYTES:
            raise MalformedError(f"data key: must be {DATA_KEY_BYTES} bytes")
        key = cls(Pages.allocate(DATA_KEY_BYTES))
        key.view[:] = buffer
        return key

    @property
    def view(self) -> memoryview:
        """The 32 bytes themselves; valid until `close`."""
        return self._pages.view

    def commitment(self, binding: bytes) -> bytes:
        """Returns the public value that fixes this key for one release of one model.

        HKDF-SHA256 with the data key as input, no salt, info ``modelkeep/v1/commit`` | `binding`, 32
        bytes. `binding` is what `Manifest.binding` says: it keeps somebody without the key from dressing
        one release up as another for whoever grants it without checking its signature.
        """
        return HKDF(hashes.SHA256(), COMMITMENT_BYTES, None, _COMMIT_LABEL + binding).derive(self.view)

    def check_commitment(self, expected: bytes, binding: bytes) -> None:
        """Checks that this is the key that the commitment `expected` of a manifest stands for.

        Raises:
            TamperedError: it is another key, or the key of another release.
        """
        if not hmac.compare_digest(self.commitment(binding), expected):
            raise TamperedError(
                "the grant holds another data key than the one this bundle was sealed with",
                hint="ask the publisher for a new grant",
            )

    def payload_key(self) -> Pages:
        """Returns 32 bytes of input key material for the payload; the caller closes them.

        HKDF-SHA256 with the data key as input, no salt, info ``modelkeep/v1/payload``, 32 bytes.
        """
        pages = Pages.allocate(32)
        HKDF(hashes.SHA256(), 32, None, _PAYLOAD_LABEL).derive_into(self.view, pages.view)
        return pages

    def close(self) -> None:
        """Wipes the key."""
        self._pages.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "DataKey(hidden)"
