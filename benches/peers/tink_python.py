"""Tink for Python: the same wire format as modelkeep's payload, through Tink's own streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tink
from tink import secret_key_access, streaming_aead

from benches.cipher import FileCipher, Opening, Sealing
from benches.peer import PIECE, make_durable, read_all_into

_ASSOCIATED = b"model"


class Tink(FileCipher):
    def ready(self) -> None:
        streaming_aead.register()

    def primitive(self) -> Any:
        """Returns the streaming AEAD of the stored keyset."""
        keyset = (self.folder / "keyset.json").read_text()
        handle = tink.json_proto_keyset_format.parse(keyset, secret_key_access.TOKEN)
        return handle.primitive(streaming_aead.StreamingAead)  # type: ignore[type-abstract]

    def seal(self, target: Path) -> None:
        piece = memoryview(bytearray(PIECE))
        with self.source.open("rb", buffering=0) as source:
            stream = self.primitive().new_encrypting_stream(target.open("wb"), _ASSOCIATED)
            with stream:
                while count := source.readinto(piece):
                    stream.write(piece[:count])
        make_durable(target)

    def open(self, sealed: Path) -> bytearray:
        plain = bytearray(self.size)
        with self.primitive().new_decrypting_stream(sealed.open("rb"), _ASSOCIATED) as stream:
            read_all_into(stream, memoryview(plain))
        return plain

    def make_keys(self) -> None:
        streaming_aead.register()
        template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
        handle = tink.new_keyset_handle(template)
        keyset = tink.json_proto_keyset_format.serialize(handle, secret_key_access.TOKEN)
        (self.folder / "keyset.json").write_text(keyset)


class Open(Opening, Tink):
    """Sealed file -> memory."""


class Seal(Sealing, Tink):
    """File -> sealed file."""
