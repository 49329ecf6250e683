"""HPKE grants on the wire, opened by RFC 9180's own steps instead of through the library's suite."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519

from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.hpke import HpkeHandle, PrivateKey
from modelkeep.grants.recipient import issue
from support import hpke_steps as steps

BUNDLE = bytes(range(16))


@pytest.mark.parametrize("kind", ["p256", "x25519", "hybrid"])
def test_a_grant_opens_by_the_steps_of_the_specification(kind: str) -> None:
    p256, curve25519 = ec.generate_private_key(ec.SECP256R1()), x25519.X25519PrivateKey.generate()
    hybrid = (mlkem.MLKEM768PrivateKey.generate(), curve25519)
    with DataKey.generate() as data_key:
        expected = bytes(data_key.view)
        keys: dict[str, PrivateKey] = {"p256": p256, "x25519": curve25519, "hybrid": hybrid}
        handle = HpkeHandle(keys[kind])
        grant = issue(handle.recipient("pi-17"), BUNDLE, data_key, Constraints(not_after=9))
    info = b"modelkeep/v1/grant" + hashlib.sha256(grant.header_bytes).digest()
    if kind == "p256":
        enc, ciphertext = grant.wrapped[:65], grant.wrapped[65:]
        context = steps.base_context(steps.P256_KEM, steps.p256_secret(p256, enc), info)
    elif kind == "x25519":
        enc, ciphertext = grant.wrapped[:32], grant.wrapped[32:]
        context = steps.base_context(steps.X25519_KEM, steps.x25519_secret(curve25519, enc), info)
    else:
        enc, ciphertext = grant.wrapped[: 1088 + 32], grant.wrapped[1088 + 32 :]
        context = steps.base_context(steps.MLKEM768_X25519_KEM, steps.hybrid_secret(hybrid, enc), info)
    assert context.decrypt(ciphertext) == expected + b"\x05pi-17" + bytes(104 - 38)
