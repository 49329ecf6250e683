"""Project Wycheproof's cases against the primitives, in the form in which the product calls them."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from modelkeep import dsse, public_key
from modelkeep.errors import MalformedError, SignatureError, UsageError
from modelkeep.grants.agreement_key import Relay
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.manifest import Suite
from modelkeep.payload import cipher
from support.published import Case, holds_for, wycheproof

AES_GCM = wycheproof("Cipher", "aes_gcm", keySize=256, ivSize=96, tagSize=128)
CHACHA = wycheproof("Cipher", "chacha20_poly1305", keySize=256, ivSize=96, tagSize=128)
KEY_WRAP = wycheproof("Cipher", "aes_wrap", keySize=256)
ECDSA = [
    case
    for name in ("secp256r1_sha256", "secp384r1_sha384", "secp521r1_sha512")
    for case in wycheproof("Signature", f"ecdsa_{name}")
]


def octets(case: Case, *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


@holds_for(AES_GCM)
def test_aes_gcm(_group: Case, case: Case) -> None:
    check_aead(Suite.AES256_GCM_HKDF_1MB, case)


@holds_for(CHACHA)
def test_chacha20_poly1305(_group: Case, case: Case) -> None:
    check_aead(Suite.CHACHA20_POLY1305_HKDF_1MB, case)


def check_aead(suite: Suite, case: Case) -> None:
    key, nonce, associated, plain, sealed, tag = octets(case, "key", "iv", "aad", "msg", "ct", "tag")
    aead = cipher._AEADS[suite](key)
    opened = bytearray(len(sealed))
    if case["result"] == "invalid":
        with pytest.raises(InvalidTag):
            aead.decrypt_into(nonce, sealed + tag, associated, opened)
        return
    assert aead.decrypt_into(nonce, sealed + tag, associated, opened) == len(plain)
    assert opened == plain
    made = bytearray(len(sealed + tag))
    aead.encrypt_into(nonce, plain, associated, made)
    assert made == sealed + tag


@holds_for(wycheproof("Protocol", "hkdf_sha256"))
def test_hkdf(_group: Case, case: Case) -> None:
    material, salt, info, expected = octets(case, "ikm", "salt", "info", "okm")
    derived = bytearray(case["size"])
    if case["result"] == "invalid":
        with pytest.raises(ValueError):
            HKDF(hashes.SHA256(), case["size"], salt, info)
        return
    HKDF(hashes.SHA256(), case["size"], salt, info).derive_into(material, derived)
    assert derived == expected


@holds_for(KEY_WRAP)
def test_key_wrap(_group: Case, case: Case) -> None:
    key, message, wrapped = octets(case, "key", "msg", "ct")
    # What is merely acceptable are keys of eight bytes, for which RFC 3394 has no form.
    if case["result"] != "valid":
        with pytest.raises(InvalidUnwrap):
            aes_key_unwrap(key, wrapped)
        return
    assert aes_key_unwrap(key, wrapped) == message
    assert aes_key_wrap(key, message) == wrapped


@holds_for(ECDSA)
def test_ecdsa(group: Case, case: Case) -> None:
    key = public_key.load(group["publicKeyPem"].encode())
    hashed = dsse.ecdsa_for(key).algorithm
    assert isinstance(hashed, hashes.HashAlgorithm)
    assert hashed.name == group["sha"].replace("-", "").lower()
    message, signature = octets(case, "msg", "sig")
    with pytest.MonkeyPatch.context() as patch:
        # Their messages are no DSSE documents.
        patch.setattr(dsse, "pae", lambda _payload_type, payload: payload)
        if case["result"] == "valid":
            dsse.verify(key, signature, "", message)
            return
        with pytest.raises(SignatureError):
            dsse.verify(key, signature, "", message)


@holds_for(wycheproof("Protocol", "ecdh_secp256r1_ecpoint"))
def test_p256_agreement(_group: Case, case: Case) -> None:
    public, expected = octets(case, "public", "shared")
    # Compressed points are points, but not in the form that grants use.
    if case["result"] != "valid":
        with pytest.raises(MalformedError):
            HpkeRecipient("hpke-p256", public)
        return
    HpkeRecipient("hpke-p256", public)
    private = ec.derive_private_key(int(case["private"], 16), ec.SECP256R1())
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    assert Relay(private).exchange(ec.ECDH(), peer) == expected


@holds_for(wycheproof("Protocol", "x25519"))
def test_x25519_agreement(_group: Case, case: Case) -> None:
    public, private, expected = octets(case, "public", "private", "shared")
    recipient = HpkeRecipient("hpke-x25519", public)
    if "ZeroSharedSecret" in case["flags"]:
        with pytest.raises(UsageError, match="low order"):
            recipient.wrap(bytearray(104), b"")
        return
    key = x25519.X25519PrivateKey.from_private_bytes(private)
    assert key.exchange(x25519.X25519PublicKey.from_public_bytes(public)) == expected
    assert recipient.wrap(bytearray(104), b"")


@holds_for(wycheproof("Protocol", "mlkem_768"))
def test_ml_kem_decapsulation(_group: Case, case: Case) -> None:
    seed, ciphertext = octets(case, "seed", "c")
    if case["result"] == "invalid":
        with pytest.raises(ValueError):
            mlkem.MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)
        return
    assert mlkem.MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext).hex() == case["K"]
