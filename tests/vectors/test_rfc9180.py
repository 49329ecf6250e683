"""HPKE's published vectors: those of RFC 9180, and the drafts' for the hybrid KEM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from modelkeep.grants import hpke as product
from modelkeep.grants.hpke import MLKEM768_X25519, P256, X25519
from support import hpke_steps as steps
from support import published
from support.published import Case

CASES = [
    ("HPKE-test-vectors", P256, steps.P256_KEM, steps.AES_256_GCM),
    ("HPKE-test-vectors", P256, steps.P256_KEM, steps.CHACHA20_POLY1305),
    ("HPKE-test-vectors", X25519, steps.X25519_KEM, steps.AES_256_GCM),
    ("HPKE-test-vectors", X25519, steps.X25519_KEM, steps.CHACHA20_POLY1305),
    ("HPKE-PQ-test-vectors", MLKEM768_X25519, steps.MLKEM768_X25519_KEM, steps.CHACHA20_POLY1305),
]
SECRETS: dict[str, Callable[[Any, bytes], bytes]] = {
    P256: steps.p256_secret,
    X25519: steps.x25519_secret,
    MLKEM768_X25519: steps.hybrid_secret,
}


def only_case(file: str, kem: int, aead: int) -> Case:
    (case,) = published.hpke(file, kem, steps.HKDF_SHA256, aead)
    return {name: _octets(value) for name, value in case.items()}


def _octets(value: object) -> object:
    return bytes.fromhex(value) if isinstance(value, str) else value


def private_key(kind: str, encoded: bytes) -> product.PrivateKey:
    if kind == P256:
        return ec.derive_private_key(int.from_bytes(encoded, "big"), ec.SECP256R1())
    if kind == X25519:
        return x25519.X25519PrivateKey.from_private_bytes(encoded)
    return steps.hybrid_keys(encoded)


@pytest.mark.parametrize(("file", "kind", "kem", "aead"), CASES)
def test_the_steps_give_what_was_published(file: str, kind: str, kem: int, aead: int) -> None:
    case = only_case(file, kem, aead)
    key = private_key(kind, case["skRm"])
    assert product.HpkeHandle(key).public == case["pkRm"]
    secret = SECRETS[kind](key, case["enc"])
    context = steps.base_context(kem, secret, case["info"], aead)
    assert (secret, context.key, context.base_nonce) == (
        case["shared_secret"],
        case["key"],
        case["base_nonce"],
    )
    first = {name: bytes.fromhex(text) for name, text in case["encryptions"][0].items() if name != "exports"}
    assert context.decrypt(first["ct"], first["aad"]) == first["pt"]


@pytest.mark.parametrize(("file", "kind", "kem", "aead"), CASES)
def test_the_library_opens_what_the_published_key_seals(file: str, kind: str, kem: int, aead: int) -> None:
    # The published messages carry associated data, which the library's single-shot form has not.
    case = only_case(file, kem, aead)
    sealed = case["enc"] + steps.Context(aead, case["key"], case["base_nonce"]).encrypt(b"a model")
    key = product._private(private_key(kind, case["skRm"]))
    assert _suite(kind, aead).decrypt(sealed, key, info=case["info"]) == b"a model"


def _suite(kind: str, aead: int) -> hpke.Suite:
    if aead == steps.AES_256_GCM:
        return product._suite(kind)
    return hpke.Suite(product._KEMS[kind], hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
