"""Migration: files made as the usual tutorial shows become sealed bundles without touching the disk."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep.errors import MalformedError, StorageError, TamperedError, UsageError
from modelkeep.migration import derive_key, legacy_model, read_key
from support.workshop import MODEL_ID, Workshop, scale_model

KEY = bytes(range(32))


def old_file(path: Path, content: bytes, key: bytes = KEY) -> Path:
    nonce = os.urandom(12)
    path.write_bytes(nonce + AESGCM(key).encrypt(nonce, content, None))
    return path


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20 + 7])
def test_old_files_decrypt_piece_by_piece(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    with legacy_model(old_file(tmp_path / "old", content), bytearray(KEY), "weights.bin") as model:
        found = bytearray(size)
        with model.sources["weights.bin"].open() as source:
            source.read_into(memoryview(found), 0)
        assert (bytes(found), model.size, model.format) == (content, size, "files")


def test_an_old_model_is_sealed_and_runs(workshop: Workshop) -> None:
    content = scale_model(2.0, 4)
    old = old_file(workshop.folder / "model.enc", content)
    with legacy_model(old, bytearray(KEY), "net.onnx") as model:
        assert model.contract is not None
        path = workshop.seal(model)
    assert workshop.read(path) == {"net.onnx": content}
    with workshop.open(path) as session:
        assert session.report.model == MODEL_ID


def test_derived_keys_follow_the_common_recipe() -> None:
    master = os.urandom(32)
    expected = HKDF(hashes.SHA256(), 32, salt=b"pi-17", info=b"model-encryption").derive(master)
    assert derive_key(bytearray(master), "pi-17") == expected
    other = HKDF(hashes.SHA256(), 32, salt=b"pi-17", info=b"v2").derive(master)
    assert derive_key(bytearray(master), "pi-17", b"v2") == other


def test_a_device_id_that_is_not_text_is_refused() -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        derive_key(bytearray(32), "\udcff")


@pytest.mark.parametrize("position", [0, 11, 12, 500, -1])
def test_a_changed_file_is_refused(tmp_path: Path, position: int) -> None:
    path = old_file(tmp_path / "old", bytes(1000))
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(TamperedError, match="wrong key"), legacy_model(path, bytearray(KEY), "a.bin"):
        pytest.fail("the model was given out")


def test_a_wrong_key_is_refused(tmp_path: Path) -> None:
    path = old_file(tmp_path / "old", bytes(1000))
    with pytest.raises(TamperedError, match="wrong key"), legacy_model(path, bytearray(32), "a.bin"):
        pytest.fail("the model was given out")


@pytest.mark.parametrize("size", [0, 1, 27])
def test_a_short_file_is_malformed(tmp_path: Path, size: int) -> None:
    (tmp_path / "old").write_bytes(bytes(size))
    with (
        pytest.raises(MalformedError, match="too short"),
        legacy_model(tmp_path / "old", bytearray(KEY), "a"),
    ):
        pytest.fail("the model was given out")


@pytest.mark.parametrize("length", [0, 15, 31, 33])
def test_a_key_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    path = old_file(tmp_path / "old", b"")
    with pytest.raises(UsageError, match=f"{length} bytes"), legacy_model(path, bytearray(length), "a"):
        pytest.fail("the model was given out")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="no such file"),
        legacy_model(tmp_path / "none", bytearray(KEY), "a"),
    ):
        pytest.fail("the model was given out")


def test_the_model_is_wiped_afterwards(tmp_path: Path) -> None:
    content = b"\xff" * 5000
    with legacy_model(old_file(tmp_path / "old", content), bytearray(KEY), "a.bin") as model:
        source = model.sources["a.bin"]
    with source.open() as opened:
        found = bytearray(b"\xff" * 5000)
        opened.read_into(memoryview(found), 0)
    assert not any(found)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        KEY.hex().encode(),
        KEY.hex().upper().encode() + b"\n",
        b" " + KEY.hex().encode() + b"\r\n",
        base64.b64encode(KEY),
        base64.b64encode(KEY) + b"\n",
    ],
)
def test_forms_of_key_files(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "key").write_bytes(text)
    assert read_key(tmp_path / "key") == KEY


@pytest.mark.parametrize(
    "text",
    [
        b"",
        KEY[:31],
        KEY + b"\n",
        KEY.hex().encode()[:-2],
        KEY.hex().encode() + b"00",
        base64.b64encode(KEY)[:-1],
        base64.b64encode(KEY[:31]),
        b"!" + base64.b64encode(KEY),
        b"-----BEGIN PRIVATE KEY-----",
    ],
)
def test_other_files_are_not_keys(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "key").write_bytes(text)
    with pytest.raises(MalformedError, match="not a key of 32, 24 or 16 bytes"):
        read_key(tmp_path / "key")


def test_a_large_file_is_not_a_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(5000))
    with pytest.raises(StorageError, match="too large for a key"):
        read_key(tmp_path / "key")


def encrypted(content: bytes, nonce: int, *, tag_first: bool, key: bytes = KEY, aad: bytes = b"") -> bytes:
    start = os.urandom(nonce)
    sealed = AESGCM(key).encrypt(start, content, aad or None)
    return start + (sealed[-16:] + sealed[:-16] if tag_first else sealed)


@pytest.mark.parametrize("size", [0, 3, 2**20 + 5])
@pytest.mark.parametrize("key", [KEY, KEY[:24], KEY[:16]], ids=len)
@pytest.mark.parametrize("tag_first", [False, True])
@pytest.mark.parametrize("nonce", [12, 16])
def test_every_usual_order_is_tried(
    tmp_path: Path, nonce: int, tag_first: bool, key: bytes, size: int
) -> None:
    content = os.urandom(size)
    (tmp_path / "old").write_bytes(encrypted(content, nonce, tag_first=tag_first, key=key))
    with legacy_model(tmp_path / "old", bytearray(key), "w.bin") as model:
        found = bytearray(size)
        with model.sources["w.bin"].open() as source:
            source.read_into(memoryview(found), 0)
        assert (bytes(found), model.size) == (content, size)


def test_associated_data_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(encrypted(b"weights", 12, tag_first=False, aad=b"v1"))
    with legacy_model(tmp_path / "old", bytearray(KEY), "w.bin", associated=b"v1") as model:
        assert model.size == 7
    with (
        pytest.raises(TamperedError, match="associated data") as caught,
        legacy_model(tmp_path / "old", bytearray(KEY), "w.bin"),
    ):
        pass
    assert "--old-associated" in str(caught.value.hint)


def test_a_fernet_token_is_told(tmp_path: Path) -> None:
    key = Fernet.generate_key()
    (tmp_path / "old").write_bytes(Fernet(key).encrypt(b"weights"))
    (tmp_path / "key").write_bytes(key)
    with (
        pytest.raises(MalformedError, match="a Fernet token"),
        legacy_model(tmp_path / "old", read_key(tmp_path / "key"), "w.bin"),
    ):
        pass
