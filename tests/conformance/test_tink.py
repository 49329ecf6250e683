"""Tink reads our streams, and we read Tink's."""

from __future__ import annotations

import importlib
import io
import random
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from tink import TinkError, proto_keyset_format, secret_key_access, streaming_aead

from modelkeep.payload.layout import SEGMENT
from support.streams import ASSOCIATED, KEY, open_stream, seal_stream

# Generated code, whose classes type checkers do not see.
streaming_pb2: Any = importlib.import_module("tink.proto.aes_gcm_hkdf_streaming_pb2")
common_pb2: Any = importlib.import_module("tink.proto.common_pb2")
tink_pb2: Any = importlib.import_module("tink.proto.tink_pb2")

FIRST, LATER = SEGMENT - 56, SEGMENT - 16
SIZES = [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + LATER, FIRST + LATER + 1, 4 * SEGMENT + 99]


class KeptBytes(io.BytesIO):
    """Tink closes what it writes to; this remembers the content."""

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()


@pytest.fixture(scope="module")
def tink() -> Any:
    """Tink's primitive AES256_GCM_HKDF_1MB under the test key."""
    streaming_aead.register()
    key = streaming_pb2.AesGcmHkdfStreamingKey(version=0, key_value=KEY)
    key.params.ciphertext_segment_size = 2**20
    key.params.derived_key_size = 32
    key.params.hkdf_hash_type = common_pb2.SHA256
    keyset = tink_pb2.Keyset(primary_key_id=1)
    entry = keyset.key.add(key_id=1, status=tink_pb2.ENABLED, output_prefix_type=tink_pb2.RAW)
    entry.key_data.type_url = "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey"
    entry.key_data.value = key.SerializeToString()
    entry.key_data.key_material_type = tink_pb2.KeyData.SYMMETRIC
    handle: Any = proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


@pytest.mark.parametrize("size", SIZES)
def test_tink_opens_what_we_seal(tink: Any, size: int) -> None:
    plain = random.Random(size).randbytes(size)
    sealed, _digests = seal_stream(plain)
    with tink.new_decrypting_stream(io.BytesIO(sealed), ASSOCIATED) as opened:
        assert opened.read() == plain


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_tink_seals(tink: Any, tmp_path: Path, size: int) -> None:
    plain = random.Random(size).randbytes(size)
    target = KeptBytes()
    with tink.new_encrypting_stream(target, ASSOCIATED) as stream:
        stream.write(plain)
    sealed = target.content
    (tmp_path / "stream").write_bytes(sealed)
    pieces = [sealed[start : start + SEGMENT] for start in range(0, len(sealed), SEGMENT)]
    leaves = b"".join(blake3(piece).digest() for piece in pieces)
    assert open_stream(tmp_path / "stream", size, leaves) == plain


def test_tink_refuses_our_stream_under_other_associated_data(tink: Any) -> None:
    sealed, _digests = seal_stream(b"model")
    with (
        pytest.raises(TinkError),
        tink.new_decrypting_stream(io.BytesIO(sealed), ASSOCIATED + b"x") as opened,
    ):
        opened.read()
