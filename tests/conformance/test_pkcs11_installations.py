"""What a token keeps for installations, and what comes of it when the token cannot help; live."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelkeep.errors import KeyStoreError, TamperedError, UsageError
from modelkeep.keys.identity import Identity
from modelkeep.keys.management import delete_key, describe_key
from modelkeep.keys.registry import create_key, open_key
from support import softhsm
from support.device import Device
from support.workshop import Workshop

KEY, CONTEXT = bytes(range(32)), b"a context"


def at_the_token(token: str, work: Callable[[Any, Any], Any]) -> Any:
    """Does `work` with a logged-in session and the parsed address."""
    from modelkeep.keys.pkcs11.token import login
    from modelkeep.keys.pkcs11.uri import TokenAddress

    address = TokenAddress.parse(token)
    with login(address).session() as session:
        return work(session, address)


def aes_keys(session: Any, address: Any) -> list[Any]:
    from pkcs11 import KeyType, ObjectClass

    from modelkeep.keys.pkcs11.key import find_all

    found = find_all(session, address, ObjectClass.SECRET_KEY)
    return [each for each in found if each.key_type == KeyType.AES]


def destroy_aes_keys(token: str) -> None:
    at_the_token(token, lambda *where: [each.destroy() for each in aes_keys(*where)])


def test_aes_key_cannot_be_read_wrapped_copied_or_made_extractable(token: str) -> None:
    from pkcs11 import Attribute, AttributeSensitive, KeyType, KeyUnextractable, MechanismFlag, PKCS11Error

    create_key(f"pkcs11:{token}")

    def attempt(session: Any, address: Any) -> None:
        (key,) = aes_keys(session, address)
        assert key[Attribute.NEVER_EXTRACTABLE]
        assert key[Attribute.ALWAYS_SENSITIVE]
        assert key[Attribute.LOCAL]
        with pytest.raises(AttributeSensitive):
            print(key[Attribute.VALUE])
        for attribute, value in ((Attribute.EXTRACTABLE, True), (Attribute.SENSITIVE, False)):
            with pytest.raises(PKCS11Error):
                key[attribute] = value
            with pytest.raises(PKCS11Error):
                key.copy({attribute: value})
        uses = MechanismFlag.WRAP | MechanismFlag.UNWRAP
        wrapping = session.generate_key(KeyType.AES, 256, capabilities=uses)
        with pytest.raises(KeyUnextractable):
            wrapping.wrap_key(key)
        # Nor is it of use for taking other keys out.
        assert not key[Attribute.WRAP]
        assert not key[Attribute.DERIVE]

    at_the_token(token, attempt)


def test_aes_key_comes_and_goes_with_its_key(token: str) -> None:
    from pkcs11 import Attribute

    def identifiers(session: Any, address: Any) -> list[bytes]:
        return [bytes(each[Attribute.ID]) for each in aes_keys(session, address)]

    uri = f"pkcs11:{token}"
    create_key(uri)
    (first,) = at_the_token(token, identifiers)
    assert describe_key(uri)["installations"] == "AES key in the token"
    create_key(uri, force=True)
    (second,) = at_the_token(token, identifiers)
    assert first != second
    delete_key(uri)
    assert at_the_token(token, identifiers) == []
    create_key(uri, "signing")
    assert at_the_token(token, identifiers) == []
    assert "installations" not in describe_key(uri)


def test_somebody_elses_aes_key_of_the_same_label_is_left_alone(token: str) -> None:
    from pkcs11 import KeyType

    uri, label = f"pkcs11:{token}", token.partition("object=")[2]
    at_the_token(token, lambda session, _: session.generate_key(KeyType.AES, 128, label=label, store=True))
    create_key(uri)
    local = Identity(uri).local_key()
    assert local.unwrap(local.wrap(memoryview(KEY), CONTEXT), CONTEXT) == KEY
    delete_key(uri)
    assert len(at_the_token(token, aes_keys)) == 1
    destroy_aes_keys(token)


def test_aes_key_left_behind_does_not_pair_with_a_new_key(token: str) -> None:
    from pkcs11 import ObjectClass

    from modelkeep.keys.pkcs11.key import find_all

    name = f"{token};id=%05%06"
    create_key(f"pkcs11:{name}")
    wrapped = Identity(f"pkcs11:{name}").local_key().wrap(memoryview(KEY), CONTEXT)

    def destroy_pair(session: Any, address: Any) -> None:
        for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
            for each in find_all(session, address, kind):
                each.destroy()

    at_the_token(name, destroy_pair)
    with pytest.raises(UsageError, match="has a key named"):
        create_key(f"pkcs11:{name}")
    create_key(f"pkcs11:{name}", force=True)
    assert len(at_the_token(name, aes_keys)) == 1
    local = Identity(f"pkcs11:{name}").local_key()
    with pytest.raises(TamperedError):
        local.unwrap(wrapped, CONTEXT)
    assert local.unwrap(local.wrap(memoryview(KEY), CONTEXT), CONTEXT) == KEY


def test_deleted_aes_key_is_named(token: str, workshop: Workshop, tmp_path: Path) -> None:
    device = Device(workshop, tmp_path, f"pkcs11:{token}")
    device.install(epoch=1)
    local = device.identity().local_key()
    destroy_aes_keys(token)
    for attempt in (device.open, lambda: device.install(epoch=2)):
        with pytest.raises(KeyStoreError, match="AES key") as refusal:
            attempt()
        assert "keys create" in (refusal.value.hint or "")
    with pytest.raises(KeyStoreError, match="AES key"):
        local.wrap(memoryview(KEY), CONTEXT)


def test_key_without_an_aes_key_falls_back_to_its_agreement(
    token: str, workshop: Workshop, tmp_path: Path
) -> None:
    device = Device(workshop, tmp_path, f"pkcs11:{token}")
    destroy_aes_keys(token)
    assert describe_key(device.key)["installations"] == "agreement of the key"
    device.install(epoch=1)
    device.open()
    device.install(epoch=2)
    device.open()


def test_installation_of_another_token_is_refused(token: str) -> None:
    create_key(f"pkcs11:{token}")
    other = token.replace("token=first", "token=second")
    create_key(f"pkcs11:{other}")
    wrapped = Identity(f"pkcs11:{other}").local_key().wrap(memoryview(KEY), CONTEXT)
    with pytest.raises(TamperedError, match="not installed by this device"):
        Identity(f"pkcs11:{token}").local_key().unwrap(wrapped, CONTEXT)
    with pytest.raises(KeyStoreError, match="no such token"):
        open_key(f"pkcs11:{token.replace('token=first', 'token=third')}")


def test_wrong_pin_opens_no_installation(token: str, workshop: Workshop, tmp_path: Path) -> None:
    device = Device(workshop, tmp_path, f"pkcs11:{token}")
    device.install(epoch=1)
    (tmp_path / "wrong.pin").write_text("wrong-4711")
    (tmp_path / "wrong.pin").chmod(0o600)
    genuine, device.key = device.key, f"{device.key}?pin-source={tmp_path / 'wrong.pin'}"
    with pytest.raises(KeyStoreError, match="the PIN is wrong"):
        device.open()
    device.key = genuine
    device.open()


def test_point_off_the_curve_is_refused_by_the_token_too(token: str) -> None:
    import pkcs11
    from pkcs11 import KeyType, Mechanism, ObjectClass

    from modelkeep.keys.pkcs11.key import find

    create_key(f"pkcs11:{token}")

    def attempt(session: Any, address: Any) -> None:
        point = b"\x04" + bytes(31) + b"\1" + bytes(31) + b"\2"
        find(session, address, ObjectClass.PRIVATE_KEY).derive_key(
            KeyType.GENERIC_SECRET,
            256,
            mechanism=Mechanism.ECDH1_DERIVE,
            mechanism_param=(pkcs11.KDF.NULL, None, point),
        )

    with pytest.raises(KeyStoreError):
        at_the_token(token, attempt)
    assert Identity(f"pkcs11:{token}").local_key() is not None


def test_threads_take_turns_at_the_token(token: str) -> None:
    uri = f"pkcs11:{token}"
    create_key(uri)
    shared = Identity(uri).local_key()

    def work(number: int) -> bool:
        context = b"context %d" % number
        wrapped = shared.wrap(memoryview(KEY), context)
        return Identity(uri).local_key().unwrap(wrapped, context) == KEY

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(40)))


PROCESS = """
import sys
from pathlib import Path
from modelkeep.keys.identity import Identity

local, wrapped = Identity(sys.argv[1]).local_key(), Path(sys.argv[2]).read_bytes()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(200):
    assert local.unwrap(wrapped, b"a context") == bytes(range(32))
    assert local.unwrap(local.wrap(memoryview(bytes(32)), b"own"), b"own") == bytes(32)
"""


def test_two_processes_share_the_token(token: str, tmp_path: Path) -> None:
    uri = f"pkcs11:{token}"
    create_key(uri)
    (tmp_path / "wrapped").write_bytes(Identity(uri).local_key().wrap(memoryview(KEY), CONTEXT))
    command = [sys.executable, "-c", PROCESS, uri, str(tmp_path / "wrapped")]
    both = []
    for _ in range(2):
        # One after the other: SoftHSM rewrites its token at every login, and who comes then finds none.
        each = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
        both.append(each)
    for each in both:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    for each in both:
        _, errors = each.communicate(timeout=60)
        assert each.returncode == 0, errors


WITHOUT_AES = """
from modelkeep.keys.management import delete_key, describe_key
from modelkeep.keys.identity import Identity
from modelkeep.keys.registry import create_key

uri = "pkcs11:token=first;object=device"
create_key(uri)
print(describe_key(uri)["installations"])
local = Identity(uri).local_key()
wrapped = local.wrap(memoryview(bytes(range(32))), b"a context")
assert len(wrapped) == 40
assert local.unwrap(wrapped, b"a context") == bytes(range(32))
delete_key(uri)
"""

AWAY = """
import shutil, sys
from modelkeep.errors import KeyStoreError
from modelkeep.keys.identity import Identity
from modelkeep.keys.registry import create_key

uri, tokens = "pkcs11:token=first;object=device", sys.argv[1]
if sys.argv[2] == "remove":
    create_key(uri)
    local = Identity(uri).local_key()
    wrapped = local.wrap(memoryview(bytes(range(32))), b"a context")
    with open(tokens + ".wrapped", "wb") as file:
        file.write(wrapped)
    shutil.move(tokens, tokens + ".away")
    for attempt in (local.unwrap, lambda wrapped, context: local.wrap(memoryview(bytes(32)), context)):
        try:
            attempt(wrapped, b"a context")
            raise SystemExit("the token was away, and worked")
        except KeyStoreError as error:
            print(error)
else:
    shutil.move(tokens + ".away", tokens)
    with open(tokens + ".wrapped", "rb") as file:
        assert Identity(uri).local_key().unwrap(file.read(), b"a context") == bytes(range(32))
"""


def own_token(folder: Path, settings: str = "") -> dict[str, str]:
    """Makes a token for other processes alone, and returns their environment."""
    configuration = softhsm.configure(folder)
    configuration.write_text(configuration.read_text() + settings)
    environment = os.environ | {"SOFTHSM2_CONF": str(configuration)}
    softhsm.initialise("first", environment)
    return environment


def test_token_without_aes_gcm_falls_back_to_the_agreement(token: str, tmp_path: Path) -> None:
    environment = own_token(
        tmp_path / "own", "slots.mechanisms = CKM_EC_KEY_PAIR_GEN,CKM_ECDSA,CKM_ECDH1_DERIVE\n"
    )
    command = [sys.executable, "-c", WITHOUT_AES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "agreement of the key\n"


def test_removed_token_is_named_and_its_installations_wait(token: str, tmp_path: Path) -> None:
    environment = own_token(tmp_path / "own")
    for step in ("remove", "return"):
        command = [sys.executable, "-c", AWAY, str(tmp_path / "own" / "tokens"), step]
        subprocess.run(command, env=environment, check=True, capture_output=True)


def test_what_a_token_wraps_and_how_its_keys_are_named_is_random(token: str) -> None:
    from pkcs11 import Attribute

    create_key(f"pkcs11:{token}")
    local = Identity(f"pkcs11:{token}").local_key()
    nonces = [local.wrap(memoryview(KEY), CONTEXT)[:12] for _ in range(2)]
    assert any(nonces[0])
    assert nonces[0] != nonces[1]
    identifiers = []
    for _ in range(2):
        create_key(f"pkcs11:{token}", force=True)
        identifiers += at_the_token(
            token, lambda *where: [bytes(key[Attribute.ID]) for key in aes_keys(*where)]
        )
    assert all(map(any, identifiers))
    assert len(set(identifiers)) == 2


def test_a_token_signs_another_challenge_each_time(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelkeep.keys.pkcs11.signer import TokenSigner

    create_key(f"pkcs11:{token}", "signing")
    challenges, sign = [], TokenSigner.sign

    def noted(signer: TokenSigner, data: bytes) -> bytes:
        challenges.append(data)
        return sign(signer, data)

    monkeypatch.setattr(TokenSigner, "sign", noted)
    for _ in range(2):
        TokenSigner(token)
    assert all(map(any, challenges))
    assert len(set(challenges)) == 2
