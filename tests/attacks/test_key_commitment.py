"""One ciphertext, two keys: AES-GCM does not fix its key, the signed commitment does."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tink import json_proto_keyset_format, secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2

from modelkeep.errors import TamperedError
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.recipient import issue
from modelkeep.manifest import Manifest, Suite
from modelkeep.payload.cipher import StreamCipher
from support.attacker import (
    STREAM_HEADER,
    Forgery,
    StreamKey,
    payload_key,
    stolen_data_key,
    stream_associated_data,
)
from support.ghash import BLOCK, bend_to_both, to_blocks, to_bytes
from support.workshop import Workshop

GOOD = b"a model for the auditor. " * 32
EVIL = b"a model with a back door." * 32
SIZE = len(GOOD) + BLOCK + len(EVIL)


@pytest.fixture
def two_faced(workshop: Workshop) -> tuple[Forgery, bytes, bytes]:
    """A publisher's bundle whose file opens under two data keys, and the two keys."""
    source = workshop.folder / "weights.bin"
    source.write_bytes(bytes(SIZE))
    bundle = workshop.seal(source)
    first = stolen_data_key(bundle, workshop.identity(), workshop.verifier())
    second = os.urandom(32)
    forgery = Forgery(bundle)
    forgery.files["payload/1"][STREAM_HEADER:] = _two_faced_segment(forgery, first, second)
    forgery.recompute_leaves(1)
    forgery.sign(workshop.signer)
    return forgery, first, second


def _two_faced_segment(forgery: Forgery, first: bytes, second: bytes) -> bytes:
    one, other = (StreamKey.derive(key, forgery, 1).gcm(0, last=True) for key in (first, second))
    between = len(GOOD) // BLOCK
    evil = other.crypt(EVIL, first_block=between + 1)
    blocks = bend_to_both(one, other, to_blocks(one.crypt(GOOD) + bytes(BLOCK) + evil), between)
    assert one.tag(blocks) == other.tag(blocks)
    return to_bytes([*blocks, one.tag(blocks)])


def _open_with_tink(forgery: Forgery, data_key: bytes) -> bytes:
    streaming_aead.register()
    handle = json_proto_keyset_format.parse(_tink_keyset(payload_key(data_key)), secret_key_access.TOKEN)
    sealed = io.BytesIO(forgery.files["payload/1"])
    primitive = handle.primitive(streaming_aead.StreamingAead)
    with primitive.new_decrypting_stream(sealed, stream_associated_data(forgery, 1)) as stream:
        return bytes(stream.read())


def _tink_keyset(key: bytes) -> str:
    messages: Any = aes_gcm_hkdf_streaming_pb2
    value = messages.AesGcmHkdfStreamingKey(key_value=key)
    value.params.ciphertext_segment_size = 2**20
    value.params.derived_key_size = 32
    value.params.hkdf_hash_type = 3  # SHA256
    data = {
        "typeUrl": "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
        "value": base64.b64encode(value.SerializeToString()).decode(),
        "keyMaterialType": "SYMMETRIC",
    }
    entry = {"keyData": data, "keyId": 1, "outputPrefixType": "RAW", "status": "ENABLED"}
    return json.dumps({"primaryKeyId": 1, "key": [entry]})


def _open_with_our_cipher(forgery: Forgery, data_key: bytes) -> bytes:
    sealed = memoryview(forgery.files["payload/1"])
    key = memoryview(payload_key(data_key))
    associated = stream_associated_data(forgery, 1)
    cipher = StreamCipher(Suite.AES256_GCM_HKDF_1MB, key, associated, bytes(sealed[:STREAM_HEADER]))
    plain = bytearray(SIZE)
    cipher.decrypt(0, True, sealed[STREAM_HEADER:], memoryview(plain))
    return bytes(plain)


def _grant_for_other_device(workshop: Workshop, forgery: Forgery, data_key: bytes) -> Path:
    path = workshop.new_device("pi-18")
    bundle = bytes.fromhex(forgery.manifest["bundle"])
    with DataKey.from_buffer(bytearray(data_key)) as key:
        grant = issue(workshop.identity(path).recipient(), bundle, key)
    forgery.files["grants/1"] = bytearray(grant.to_bytes())
    return path


@pytest.mark.parametrize("open_stream", [_open_with_tink, _open_with_our_cipher])
def test_the_cipher_alone_opens_one_file_under_two_keys(
    two_faced: tuple[Forgery, bytes, bytes], open_stream: Callable[[Forgery, bytes], bytes]
) -> None:
    forgery, first, second = two_faced
    assert open_stream(forgery, first).startswith(GOOD)
    assert open_stream(forgery, second).endswith(EVIL)


def test_a_bundle_opens_under_the_committed_key_alone(
    workshop: Workshop, two_faced: tuple[Forgery, bytes, bytes]
) -> None:
    forgery, _first, second = two_faced
    other_device = _grant_for_other_device(workshop, forgery, second)
    bundle = forgery.write(workshop.folder / "two-faced.keep")
    assert workshop.read(bundle)["weights.bin"].startswith(GOOD)
    with pytest.raises(TamperedError, match="another data key"):
        workshop.read(bundle, identity=workshop.identity(other_device))


def test_the_commitment_cannot_be_exchanged_without_the_publisher(
    workshop: Workshop, two_faced: tuple[Forgery, bytes, bytes]
) -> None:
    forgery, _first, second = two_faced
    other_device = _grant_for_other_device(workshop, forgery, second)
    with DataKey.from_buffer(bytearray(second)) as key:
        forgery.edit_manifest(
            commitment=key.commitment(
                Manifest.from_bytes(bytes(forgery.files["manifest.json"])).binding
            ).hex()
        )
    bundle = forgery.write(workshop.folder / "two-faced.keep")
    with pytest.raises(TamperedError, match="manifest.json is not the one that was signed"):
        workshop.read(bundle, identity=workshop.identity(other_device))
