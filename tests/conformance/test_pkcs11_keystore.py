"""Keys in PKCS#11 tokens: the key-store suite, and what SoftHSM says when it cannot help; live."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import dsse
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.recipient import issue
from modelkeep.keys.identity import Identity
from modelkeep.keys.management import Protection, delete_key, describe_key, examine_stores, list_keys
from modelkeep.keys.registry import create_key, open_key
from modelkeep.testing.keystores import KEY_STORE_CHECKS, KeyStoreCheck, KeyStoreSubject
from support import softhsm
from support.softhsm import PIN

BUNDLE = bytes(range(16))


@pytest.fixture
def subject(token: str, tmp_path: Path) -> KeyStoreSubject:
    (tmp_path / "wrong.pin").write_text("wrong-4711\n")
    (tmp_path / "wrong.pin").chmod(0o600)
    uri = f"pkcs11:{token}"
    return KeyStoreSubject(
        uri,
        locked_uri=f"{uri}?pin-source={tmp_path / 'wrong.pin'}",
        secrets=(PIN.encode(), b"wrong-4711"),
        delete=lambda: delete_key(uri),
    )


@pytest.mark.parametrize("check", KEY_STORE_CHECKS, ids=lambda check: check.__name__)
def test_token_store_conforms(check: KeyStoreCheck, subject: KeyStoreSubject) -> None:
    check(subject)


def key_of(uri: str) -> ec.EllipticCurvePrivateKey:
    from modelkeep.keys.pkcs11.key import TokenKey
    from modelkeep.keys.pkcs11.token import login
    from modelkeep.keys.pkcs11.uri import TokenAddress

    address = TokenAddress.parse(uri.removeprefix("pkcs11:"))
    return TokenKey(login(address), address)


def private_object(session: Any, token: str) -> Any:
    from pkcs11 import ObjectClass

    from modelkeep.keys.pkcs11.key import find
    from modelkeep.keys.pkcs11.uri import TokenAddress

    return find(session, TokenAddress.parse(token), ObjectClass.PRIVATE_KEY)


def test_private_key_cannot_be_read_wrapped_or_made_extractable(token: str) -> None:
    from pkcs11 import Attribute, AttributeSensitive, KeyType, KeyUnextractable, MechanismFlag, PKCS11Error

    from modelkeep.keys.pkcs11.token import login
    from modelkeep.keys.pkcs11.uri import TokenAddress

    create_key(f"pkcs11:{token}")
    with login(TokenAddress.parse(token)).session() as session:
        private = private_object(session, token)
        assert private[Attribute.NEVER_EXTRACTABLE]
        assert private[Attribute.ALWAYS_SENSITIVE]
        with pytest.raises(AttributeSensitive):
            print(private[Attribute.VALUE])
        with pytest.raises(PKCS11Error):
            private[Attribute.EXTRACTABLE] = True
        uses = MechanismFlag.WRAP | MechanismFlag.UNWRAP
        wrapping: Any = session.generate_key(KeyType.AES, 256, capabilities=uses)
        with pytest.raises(KeyUnextractable):
            wrapping.wrap_key(private)
    with pytest.raises(UnsupportedAlgorithm):
        key_of(f"pkcs11:{token}").private_numbers()


def test_agreed_secrets_do_not_stay_in_the_token(token: str) -> None:
    from pkcs11 import KeyType, ObjectClass

    from modelkeep.keys.pkcs11.key import find_all
    from modelkeep.keys.pkcs11.token import login
    from modelkeep.keys.pkcs11.uri import TokenAddress

    create_key(f"pkcs11:{token}")
    key = key_of(f"pkcs11:{token}")
    other = ec.generate_private_key(ec.SECP256R1())
    assert key.exchange(ec.ECDH(), other.public_key()) == other.exchange(ec.ECDH(), key.public_key())
    anything = TokenAddress.parse("token=first")
    with login(anything).session() as session:
        secrets = find_all(session, anything, ObjectClass.SECRET_KEY)
        assert [each for each in secrets if each.key_type != KeyType.AES] == []


def test_agreement_keeps_leading_zeros(token: str) -> None:
    create_key(f"pkcs11:{token}")
    key = key_of(f"pkcs11:{token}")
    while True:
        other = ec.generate_private_key(ec.SECP256R1())
        expected = other.exchange(ec.ECDH(), key.public_key())
        if expected[0] == 0:
            break
    assert key.exchange(ec.ECDH(), other.public_key()) == expected


def test_signature_verifies_with_the_public_key(token: str) -> None:
    from modelkeep.keys.pkcs11.signer import TokenSigner

    assert create_key(f"pkcs11:{token}", "signing") is None
    signer = TokenSigner(token)
    dsse.verify(signer.public_key, signer.sign(dsse.pae("text/plain", b"hello")), "text/plain", b"hello")


def test_description_and_list_name_the_key(token: str) -> None:
    create_key(f"pkcs11:{token}")
    assert describe_key(f"pkcs11:{token}")["extractable"] == "no"
    assert f"pkcs11:{token}" in list_keys("pkcs11", "token=first")


def test_use_of_a_key_is_told_and_the_store_found(token: str) -> None:
    create_key(f"pkcs11:{token}", "signing")
    assert describe_key(f"pkcs11:{token}")["use"] == "sign"
    (report,) = [report for report in examine_stores() if report.scheme == "pkcs11"]
    assert report.usable
    assert "'first' (software), 'second' (software)" in report.detail
    assert report.protection is Protection.SOFTWARE_MODULE
    assert describe_key(f"pkcs11:{token}")["level"] == "software"
    with pytest.raises(UsageError, match="unknown kind"):
        create_key(f"pkcs11:{token}", "x25519")
    delete_key(f"pkcs11:{token}")
    with pytest.raises(KeyStoreError, match="no key named"):
        delete_key(f"pkcs11:{token}")


@pytest.mark.parametrize(
    ("said", "hardware", "level"),
    [
        # As these modules introduce themselves; but for SoftHSM's, taken from their sources.
        (
            "SoftHSM Implementation of PKCS11 SoftHSM project SoftHSM slot ID 0x1 SoftHSM v2",
            False,
            "software",
        ),
        ("Linaro OP-TEE PKCS11 Cryptoki library Linaro OP-TEE PKCS11 TA Linaro OP-TEE TA", False, "TEE"),
        ("tpm2-software.github.io TPM2.0 Cryptoki Infineon SLB9670", False, "TPM"),
        ("tpm2-software.github.io TPM2.0 Cryptoki IBM SW   TPM", False, "software"),
        ("Some Maker Some Library Some Maker Some Slot Some Model", True, "HSM"),
        ("Some Maker Some Library Some Maker Some Slot Some Model", False, "software"),
    ],
)
def test_level_follows_from_what_a_module_says_of_itself(said: str, hardware: bool, level: str) -> None:
    from modelkeep.keys.pkcs11.kind import kind_of

    assert kind_of(said, hardware=hardware).level.value == level


def test_library_that_is_not_there_is_reported(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PKCS11_MODULE", "/nowhere.so")
    (report,) = [report for report in examine_stores() if report.scheme == "pkcs11"]
    assert (report.usable, "cannot be used" in report.detail) == (False, True)


def test_without_any_library_the_way_to_name_one_is_told(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.delenv("PKCS11_MODULE")
    with pytest.raises(UsageError, match="no PKCS#11 library") as refusal:
        open_key(f"pkcs11:{token}")
    assert "PKCS11_MODULE" in (refusal.value.hint or "")


def test_missing_token_names_those_that_are_present(token: str) -> None:
    with pytest.raises(KeyStoreError, match="no such token") as refusal:
        open_key("pkcs11:token=third;object=key")
    assert "'first', 'second'" in (refusal.value.hint or "")
    with pytest.raises(UsageError, match="several tokens fit"):
        open_key("pkcs11:object=key")


def test_missing_key_and_missing_library_are_named(token: str) -> None:
    with pytest.raises(KeyStoreError, match="no key named 'nobody'"):
        open_key("pkcs11:token=first;object=nobody")
    with pytest.raises(KeyStoreError, match="library cannot be used"):
        open_key("pkcs11:token=first;object=key?module-path=/nowhere.so")


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("token=first", "names no key"),
        ("token=first;object=a?pin-value=correct-4711", "never part of a key URI"),
        ("token=first;object=a;pin-value=correct-4711", "never part of a key URI"),
        ("token=first;token=correct-4711;object=a", "exactly one value"),
        ("token=first;object=%4", "exactly one value"),
        ("token=first;object=", "exactly one value"),
        ("token=first;object=%ff", "not UTF-8"),
        ("token=first;colour=correct-4711;object=a", "'colour' is not known"),
        ("object=a?module-path=a&pin=correct-4711", "'pin' is not known"),
    ],
)
def test_uris_are_read_strictly_and_never_repeated(token: str, address: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as refusal:
        open_key(f"pkcs11:{address}")
    assert "correct-4711" not in f"{refusal.value} {refusal.value.hint}"


def test_pin_source_is_a_file_and_no_command(token: str, tmp_path: Path) -> None:
    create_key(f"pkcs11:{token}")
    (tmp_path / "pin").write_text(f"{PIN}\n")
    (tmp_path / "pin").chmod(0o600)
    assert open_key(f"pkcs11:{token}?pin-source=file:{tmp_path / 'pin'}").type == "hpke-p256"
    with pytest.raises(KeyStoreError, match="runs a command"):
        open_key(f"pkcs11:{token}?pin-source=|cat")


def test_without_pin_and_terminal_the_way_out_is_named(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create_key(f"pkcs11:{token}")
    monkeypatch.delenv("MODELKEEP_PKCS11_PIN")
    with pytest.raises(KeyStoreError, match="no terminal to ask for the PIN") as refusal:
        open_key(f"pkcs11:{token}")
    assert "pin-source" in (refusal.value.hint or "")


def test_percent_encoded_names_and_ids_are_found(token: str) -> None:
    name = f"{token}%20%3B%C3%BC;id=%01%ff"
    assert create_key(f"pkcs11:{name}") is not None
    assert open_key(f"pkcs11:{name}").type == "hpke-p256"
    with pytest.raises(KeyStoreError, match="no key named"):
        open_key(f"pkcs11:{token}")


def test_replaced_key_is_another_one(token: str) -> None:
    first, second = create_key(f"pkcs11:{token}"), create_key(f"pkcs11:{token}", force=True)
    assert first is not None
    assert second is not None
    assert first.header(BUNDLE, _none()).key_id != second.header(BUNDLE, _none()).key_id
    assert open_key(f"pkcs11:{token}").type == "hpke-p256"


def _none() -> Any:
    from modelkeep.grants.constraints import Constraints

    return Constraints()


REMOVAL = """
import shutil, sys
from modelkeep.errors import KeyStoreError
from modelkeep.keys.identity import Identity
from modelkeep.grants.grant import Grant
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.recipient import issue
from modelkeep.keys.registry import create_key

uri, tokens, away = "pkcs11:token=first;object=device", sys.argv[1], sys.argv[1] + ".away"
bundle, step = bytes(16), sys.argv[2]
if step == "remove":
    recipient = create_key(uri)
    grant = issue(recipient, bundle, DataKey.generate())
    with open(tokens + ".grant", "wb") as file:
        file.write(grant.to_bytes())
    identity = Identity(uri)
    identity.unwrap(grant, bundle)
    shutil.move(tokens, away)
    for _ in range(2):
        try:
            identity.unwrap(grant, bundle)
            raise SystemExit("the token was away, and the grant opened")
        except KeyStoreError as error:
            print(error)
else:
    shutil.move(away, tokens)
    with open(tokens + ".grant", "rb") as file:
        Identity(uri).unwrap(Grant.from_bytes(file.read()), bundle)
"""


def test_removed_token_is_named_and_serves_again_when_it_is_back(token: str, tmp_path: Path) -> None:
    # In processes of their own, since SoftHSM looks for tokens only when a process begins.
    environment = os.environ | {"SOFTHSM2_CONF": str(softhsm.configure(tmp_path / "own"))}
    softhsm.initialise("first", environment)
    tokens = str(tmp_path / "own" / "tokens")
    for step in ("remove", "return"):
        command = [sys.executable, "-c", REMOVAL, tokens, step]
        subprocess.run(command, env=environment, check=True, capture_output=True)


# The library complains to nobody when it drops a search whose session is gone.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_lost_session_is_named_and_replaced(token: str) -> None:
    from modelkeep.keys.pkcs11.token import login
    from modelkeep.keys.pkcs11.uri import TokenAddress

    recipient = create_key(f"pkcs11:{token}")
    assert recipient is not None
    with DataKey.generate() as key, Identity(f"pkcs11:{token}") as identity:
        grant = issue(recipient, BUNDLE, key)
        with login(TokenAddress.parse(token)).session() as session:
            session.close()
        with pytest.raises(KeyStoreError, match="the token was removed"):
            identity.unwrap(grant, BUNDLE)
        identity.unwrap(grant, BUNDLE).close()


def test_one_process_is_logged_in_with_one_pin(token: str, tmp_path: Path) -> None:
    create_key(f"pkcs11:{token}")
    (tmp_path / "wrong.pin").write_text("wrong-4711")
    (tmp_path / "wrong.pin").chmod(0o600)
    with Identity(f"pkcs11:{token}"), pytest.raises(KeyStoreError, match="the PIN is wrong"):
        open_key(f"pkcs11:{token}?pin-source={tmp_path / 'wrong.pin'}")
