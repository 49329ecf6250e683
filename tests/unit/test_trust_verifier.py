from __future__ import annotations

import base64
import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from modelkeep import public_key
from modelkeep.errors import (
    ExpiredError,
    RefusedError,
    RollbackError,
    SignatureError,
    StorageError,
    UntrustedSignerError,
    UsageError,
    WrongModelError,
)
from modelkeep.signer_id import SignerId
from modelkeep.trust import oms
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.release import Release
from modelkeep.trust.signer import Signer
from modelkeep.trust.statement import Statement
from modelkeep.trust.unsigned import UnsafeUnsigned
from modelkeep.trust.verifier import Verifier
from support.manifests import PLAIN

SEALED_AT = 1_750_000_000
STATEMENT = Statement("model", {"manifest.json": bytes(range(32))})
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP384R1())
DOCUMENT = oms.sign(STATEMENT, Signer(KEY))
MANIFEST = replace(PLAIN, sealed_at=SEALED_AT)


def trusting(*keys: ec.EllipticCurvePublicKey) -> Verifier:
    return Verifier(*keys, model="acme/detector")


def with_hint(hint: str | None) -> bytes:
    value: dict[str, Any] = json.loads(DOCUMENT)
    value["verificationMaterial"]["publicKey"]["hint"] = hint
    return json.dumps(value).encode()


def with_payload(payload: bytes) -> bytes:
    value: dict[str, Any] = json.loads(DOCUMENT)
    value["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    return json.dumps(value).encode()


def test_signature_of_a_trusted_key_is_accepted() -> None:
    verified = trusting(OTHER_KEY.public_key(), KEY.public_key()).verify_statement(DOCUMENT)
    assert verified.statement == STATEMENT
    assert verified.signer == SignerId(bytes.fromhex(public_key.fingerprint(KEY.public_key())))
    assert str(verified.signer) == f"key sha256:{public_key.fingerprint(KEY.public_key())}"


def test_trusted_keys_come_as_object_bytes_or_path(tmp_path: Path) -> None:
    pem = public_key.to_pem(KEY.public_key())
    (tmp_path / "key.pub").write_bytes(pem)
    for trusted in (KEY.public_key(), pem, tmp_path / "key.pub", str(tmp_path / "key.pub")):
        verifier: BundleVerifier = Verifier(trusted, model=UnsafeAnyModel())
        assert verifier.requires_signature
        assert verifier.verify_statement(DOCUMENT).statement == STATEMENT


def test_a_verifier_shows_its_model_and_how_many_it_trusts() -> None:
    words = "<Verifier of acme/detector: trusts 1 keys and 0 sets of roots>"
    assert repr(trusting(KEY.public_key())) == words
    assert "of any model:" in repr(Verifier(KEY.public_key(), model=UnsafeAnyModel()))


def test_untrusted_key_is_named() -> None:
    with pytest.raises(UntrustedSignerError, match=public_key.fingerprint(KEY.public_key())):
        trusting(OTHER_KEY.public_key()).verify_statement(DOCUMENT)


def test_without_hint_every_trusted_key_is_tried() -> None:
    verifier = trusting(OTHER_KEY.public_key(), KEY.public_key())
    assert verifier.verify_statement(with_hint(None)).statement == STATEMENT
    with pytest.raises(SignatureError):
        trusting(OTHER_KEY.public_key()).verify_statement(with_hint(None))


def test_hint_of_another_trusted_key_does_not_help() -> None:
    verifier = trusting(OTHER_KEY.public_key(), KEY.public_key())
    with pytest.raises(SignatureError, match="does not verify"):
        verifier.verify_statement(with_hint(public_key.fingerprint(OTHER_KEY.public_key())))


def test_changed_statement_is_refused_before_it_is_parsed() -> None:
    verifier = trusting(KEY.public_key())
    with pytest.raises(SignatureError, match="does not verify"):
        verifier.verify_statement(with_payload(STATEMENT.to_bytes().replace(b"model", b"modem", 1)))
    with pytest.raises(SignatureError, match="does not verify"):
        verifier.verify_statement(with_payload(b"not even JSON"))


def test_every_bit_of_the_signature_counts() -> None:
    value: dict[str, Any] = json.loads(DOCUMENT)
    envelope = value["dsseEnvelope"]["signatures"][0]
    signature = base64.b64decode(envelope["sig"])
    for index in range(len(signature)):
        changed = bytearray(signature)
        changed[index] ^= 1
        envelope["sig"] = base64.b64encode(changed).decode()
        with pytest.raises(SignatureError):
            trusting(KEY.public_key()).verify_statement(json.dumps(value).encode())


def test_absent_signature_is_refused() -> None:
    with pytest.raises(SignatureError, match="not signed"):
        trusting(KEY.public_key()).verify_statement(b"")


def test_trusting_nobody_or_no_model_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="trusts somebody"):
        Verifier(model="acme/detector")
    with pytest.raises(UsageError, match="not a model id"):
        Verifier(KEY.public_key(), model="")


def test_things_that_are_no_public_key_are_refused(tmp_path: Path) -> None:
    private = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ed = ed25519.Ed25519PrivateKey.generate().public_key()
    ed_pem = ed.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    k1_pem = public_key.to_pem(ec.generate_private_key(ec.SECP256K1()).public_key())
    for trusted in (private, ed_pem, k1_pem, b"", b"-----BEGIN CERTIFICATE-----"):
        with pytest.raises(UsageError) as caught:
            Verifier(trusted, model="acme/detector")
        assert caught.value.hint
    with pytest.raises(StorageError):
        Verifier(tmp_path / "absent.pub", model="acme/detector")


def release(now: int = SEALED_AT) -> Release:
    return Release(MANIFEST, SignerId(bytes(32)), now)


def test_model_epoch_and_age_are_checked() -> None:
    key = KEY.public_key()
    Verifier(key, model="acme/detector", minimum_epoch=7).accept(release())
    with pytest.raises(WrongModelError):
        Verifier(key, model="acme/other").accept(release())
    with pytest.raises(RollbackError):
        Verifier(key, model="acme/detector", minimum_epoch=8).accept(release())
    day = datetime.timedelta(days=1)
    fresh = Verifier(key, model="acme/detector", maximum_age=day)
    fresh.accept(release(SEALED_AT + 86_400))
    with pytest.raises(ExpiredError):
        fresh.accept(release(SEALED_AT + 86_401))


def test_further_policies_are_asked_about_the_release() -> None:
    seen: list[Release] = []

    def remember(asked: Release) -> None:
        seen.append(asked)
        raise RefusedError(f"not {asked.manifest.model} today")

    verifier = Verifier(KEY.public_key(), model="acme/detector", policies=[remember], clock=lambda: 12.0)
    with pytest.raises(RefusedError, match="not acme/detector today"):
        verifier.accept(release())
    assert seen == [release()]


def test_keys_vouch_for_what_they_signed_whatever_the_model() -> None:
    verifier = trusting(KEY.public_key())
    names = [public_key.fingerprint(key.public_key()) for key in (KEY, OTHER_KEY)]
    mine, other = (SignerId(bytes.fromhex(name)) for name in names)
    assert verifier.vouches("acme/detector", mine)
    assert not verifier.vouches("acme/detector", other)
    assert (verifier.floor("acme/detector"), verifier.void, verifier.trust) == (None, frozenset(), None)


def test_unsafe_unsigned_vouches_for_everybody_and_verifies_nobody() -> None:
    verifier: BundleVerifier = UnsafeUnsigned()
    assert not verifier.requires_signature and not verifier.require_installed
    assert verifier.vouches("acme/detector", SignerId(bytes(32)))
    assert (verifier.floor("acme/detector"), verifier.void, verifier.trust) == (None, frozenset(), None)
    assert verifier.revoked_keys == frozenset()
    assert UnsafeUnsigned().no_earlier_than(2**40).clock.floor == 2**40
    verifier.accept(release())
    with pytest.raises(UsageError, match="nobody is trusted"):
        verifier.verify_statement(DOCUMENT)


def test_unsafe_unsigned_can_expect_a_model() -> None:
    UnsafeUnsigned("acme/detector").accept(release())
    with pytest.raises(WrongModelError):
        UnsafeUnsigned("acme/other").accept(release())
