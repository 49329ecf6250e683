"""Files that were encrypted the way tutorials show become bundles, and never touch a disk in the clear."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from support.command_line import CommandLine, files

KEY = bytes(range(32))
OLD = "modelkeep import old.enc --name model.onnx -r pi-17.pub -s publisher.pem -o imported.keep"
IMPORT = f"{OLD} --unsafe-unverified"
RUN = "modelkeep run imported.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy"


def encrypt(shop: CommandLine, key: bytes) -> None:
    nonce = os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, (shop.folder / "model.onnx").read_bytes(), None)
    (shop.folder / "old.enc").write_bytes(nonce + sealed)


@pytest.mark.parametrize("write", [bytes, lambda key: key.hex().encode(), base64.b64encode])
def test_a_file_and_its_key_become_a_bundle(shop: CommandLine, write: Callable[[bytes], bytes]) -> None:
    encrypt(shop, KEY)
    (shop.folder / "old.key").write_bytes(write(KEY))
    shop.ok(f"{IMPORT} --old-key old.key")
    shop.ok(RUN)
    extract = (
        "modelkeep extract imported.keep -k pi-17.pem -t publisher.pub --any-model -o out --unsafe-plaintext"
    )
    shop.ok(extract)
    assert (shop.folder / "out/model.onnx").read_bytes() == (shop.folder / "model.onnx").read_bytes()


def test_a_key_derived_from_a_master_and_the_device_id(shop: CommandLine) -> None:
    encrypt(shop, HKDF(hashes.SHA256(), 32, b"pi-17", b"model-encryption").derive(KEY))
    (shop.folder / "master.key").write_bytes(KEY)
    shop.ok(f"{IMPORT} --old-master master.key --old-device-id pi-17")
    shop.ok(RUN)
    assert shop.shell(f"{IMPORT} --force --old-master master.key --old-device-id pi-18").code == 3
    assert shop.shell(f"{IMPORT} --force --old-master master.key").code == 2


@pytest.mark.parametrize("size", [0, 27])
def test_a_file_that_is_too_short_is_malformed(shop: CommandLine, size: int) -> None:
    (shop.folder / "old.enc").write_bytes(bytes(size))
    (shop.folder / "old.key").write_bytes(KEY)
    assert shop.shell(f"{IMPORT} --old-key old.key").code == 5


def test_a_changed_file_leaves_nothing_behind(shop: CommandLine) -> None:
    encrypt(shop, KEY)
    (shop.folder / "old.key").write_bytes(KEY)
    content = bytearray((shop.folder / "old.enc").read_bytes())
    content[40] ^= 1
    (shop.folder / "old.enc").write_bytes(content)
    before = files(shop.folder)
    assert shop.shell(f"{IMPORT} --old-key old.key").code == 3
    assert files(shop.folder) == before


def test_what_is_signed_is_what_was_expected(shop: CommandLine) -> None:
    """Every device had the old key; one of them made this file."""
    encrypt(shop, KEY)
    (shop.folder / "old.key").write_bytes(KEY)
    digest = hashlib.sha256((shop.folder / "model.onnx").read_bytes()).hexdigest()
    for missing in ("", "--sha256 12", f"--unsafe-unverified --sha256 {digest}"):
        assert shop.shell(f"{OLD} --old-key old.key {missing}").code == 2
    refused = shop.shell(f"{OLD} --old-key old.key --sha256 {'0' * 64}")
    assert (refused.code, digest in refused.err) == (3, True)
    assert "imported.keep" not in files(shop.folder)
    shop.ok(f"{OLD} --old-key old.key --sha256 {digest}")
    shop.ok(RUN)
