"""What has to be random is: twice made, it is not zero and not the same."""

from __future__ import annotations

import ast
import base64
import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

import modelkeep
from modelkeep.bundle.install_record import InstallRecord, wrapping_context
from modelkeep.bundle.installation import Installation
from modelkeep.container import names
from modelkeep.device.state_file import read_state
from modelkeep.errors import KeyStoreError
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.first_reading import FirstReading
from modelkeep.grants.passphrase import PassphraseRecipient
from modelkeep.guard.clients import ClientGuard
from modelkeep.keys import fleet_file
from modelkeep.keys.fleet import create_master
from modelkeep.keys.pkcs8 import encrypted_pem
from modelkeep.manifest import Suite
from modelkeep.memory import Pages, randomness
from modelkeep.payload import spool
from modelkeep.payload.cipher import StreamCipher, new_header
from modelkeep.posture.challenge import Challenge
from modelkeep.posture.tpm2 import credential
from modelkeep.updates.installation import install
from modelkeep.verity.signing import sign_file
from support.workshop import Workshop


def differ(*values: bytes) -> None:
    assert all(any(value) for value in values)
    assert len(set(values)) == len(values)


def state_of(workshop: Workshop) -> Path:
    state = workshop.identity().device_state()
    assert state is not None
    with closing(state):
        return state.path


def test_data_keys_bundle_ids_headers_and_salts() -> None:
    with DataKey.generate() as one, DataKey.generate() as two, Pages.allocate(8) as secret:
        differ(bytes(one.view), bytes(two.view))
        headers = [PassphraseRecipient(secret, 14)._cost.salt for _ in range(2)]
        differ(*headers)
    differ(new_header()[1:], new_header()[1:])


def test_install_keys_installation_ids_and_secrets(workshop: Workshop) -> None:
    keys, identifiers = [], []
    for target in ("one.keep", "two.keep"):
        path = workshop.folder / target
        install(workshop.seal(), path, identity=workshop.identity(), verifier=workshop.verifier())
        with Installation(path) as installation, closing(workshop.identity().local_key()) as local:
            record = InstallRecord.from_bytes(installation.read(names.INSTALL))
            keys.append(bytes(local.unwrap(record.wrapped, wrapping_context(record.header_bytes))))
            identifiers.append(record.header.installation)
    differ(*keys)
    differ(*identifiers)
    with closing(workshop.identity().local_key()) as local:
        contents = read_state(state_of(workshop), local.for_state())
    assert contents is not None
    found = [each.secret for model in contents.models.values() for each in model.installations.values()]
    assert found
    differ(*found, bytes(range(32)))
    differ(contents.generation, bytes(range(16)))


def test_each_state_is_authenticated_with_its_own_key(workshop: Workshop) -> None:
    wrapped = []
    for number in (1, 2):
        target = workshop.folder / f"{number}.keep"
        bundle = workshop.seal(epoch=number)
        install(bundle, target, identity=workshop.identity(), verifier=workshop.verifier())
        state = json.loads(state_of(workshop).read_bytes())
        with closing(workshop.identity().local_key()) as local:
            key = local.for_state().unwrap(base64.b64decode(state["key"]), b"modelkeep/v1/state")
        wrapped.append(bytes(key))
    differ(*wrapped)


def test_bundle_ids(workshop: Workshop) -> None:
    from modelkeep.bundle.bundle import Bundle

    found = []
    for _ in range(2):
        with Bundle(workshop.seal()) as bundle:
            found.append(bundle.unverified_manifest().bundle)
    differ(*found)


def test_a_spool_does_not_decrypt_under_zeros(tmp_path: Path) -> None:
    with spool.spooled(io.BytesIO(bytes(1000)), tmp_path) as spooled, Pages.allocate(32) as zeros:
        guessed = StreamCipher(Suite.AES256_GCM_HKDF_1MB, zeros.view, spool._LABEL, spooled._cipher.header)
        sealed = [bytearray(32), bytearray(32)]
        for cipher, target in zip((spooled._cipher, guessed), sealed, strict=True):
            cipher.encrypt(0, True, memoryview(bytes(16)), memoryview(target))
        assert sealed[0] != sealed[1]


def test_every_list_has_marks_of_its_own() -> None:
    differ(*(FirstReading()._key for _ in range(2)))


# Who asks for randomness, and the test that would notice if it were left out.
HERE = "tests/unit/test_randomness.py"
USERS = {
    "bundle/writer.py:__init__": f"{HERE}::test_bundle_ids",
    "device/state.py:stage": f"{HERE}::test_install_keys_installation_ids_and_secrets",
    "device/authenticated.py:authenticated": f"{HERE}::test_each_state_is_authenticated_with_its_own_key",
    "device/state_store.py:write_counted": f"{HERE}::test_install_keys_installation_ids_and_secrets",
    "grants/first_reading.py:__init__": f"{HERE}::test_every_list_has_marks_of_its_own",
    "grants/data_key.py:generate": f"{HERE}::test_data_keys_bundle_ids_headers_and_salts",
    "grants/passphrase.py:__init__": f"{HERE}::test_data_keys_bundle_ids_headers_and_salts",
    "guard/clients.py:__init__": f"{HERE}::test_what_only_a_process_or_a_question_uses",
    "keys/fleet.py:create_master": f"{HERE}::test_masters_and_encrypted_keys",
    "keys/pkcs11/creation.py:generate": "tests/conformance/test_pkcs11_installations.py::"
    "test_what_a_token_wraps_and_how_its_keys_are_named_is_random",
    "keys/pkcs11/local.py:_encrypt": "tests/conformance/test_pkcs11_installations.py::"
    "test_what_a_token_wraps_and_how_its_keys_are_named_is_random",
    "keys/pkcs11/signer.py:_check_public_half": "tests/conformance/test_pkcs11_installations.py::"
    "test_a_token_signs_another_challenge_each_time",
    "keys/pkcs8.py:encrypted_pem": f"{HERE}::test_masters_and_encrypted_keys",
    "keys/tpm2/local.py:wrap": "tests/conformance/test_tpm2_installations.py::"
    "test_what_is_sealed_is_wrapped_with_something_random",
    "payload/cipher.py:new_header": f"{HERE}::test_data_keys_bundle_ids_headers_and_salts",
    "payload/spool.py:spooled": f"{HERE}::test_a_spool_does_not_decrypt_under_zeros",
    "posture/challenge.py:new": f"{HERE}::test_what_only_a_process_or_a_question_uses",
    "posture/tpm2/credential.py:_encrypt_seed": f"{HERE}::test_credentials_have_seeds_of_their_own",
    "posture/tpm2/credential.py:new_secret": f"{HERE}::test_what_only_a_process_or_a_question_uses",
    "site_file.py:save_site": "tests/unit/test_guard_site.py::test_a_sealed_model_goes_by_its_site",
    "updates/unfinished.py:begin": f"{HERE}::test_install_keys_installation_ids_and_secrets",
    "verity/signing.py:sign_file": f"{HERE}::test_salts_of_images",
}
# What names files, and is no secret.
NAMES_ONLY = {"granter/mailbox.py", "partial.py", "runtimes/onnx.py"}
ELSEWHERE = ("os.urandom", "os.getrandom", "secrets.token", "secrets.rand", "secrets.choice")
SOURCES = Path(modelkeep.__file__).parent


def calls(path: Path) -> Iterator[tuple[str, str]]:
    """Yields the functions of a file with what they call."""
    for function in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    yield function.name, ast.unparse(node.func)


def test_randomness_comes_from_one_place_and_every_user_is_tested() -> None:
    users, others = set(), set()
    for path in SOURCES.rglob("*.py"):
        name = path.relative_to(SOURCES).as_posix()
        for function, called in calls(path):
            if called in ("fill_random", "random_bytes"):
                users.add(f"{name}:{function}")
            elif called.startswith(ELSEWHERE) and not name.startswith("testing/"):
                others.add(name)
    assert users == USERS.keys()
    assert others == NAMES_ONLY | {"memory/randomness.py"}
    root = Path(__file__).parents[2]
    for test in USERS.values():
        file, _, function = test.partition("::")
        assert f"def {function}(" in (root / file).read_text(), test


def test_masters_and_encrypted_keys(tmp_path: Path) -> None:
    masters = []
    for number in range(2):
        create_master(str(tmp_path / f"{number}.key"))
        with fleet_file.read(str(tmp_path / f"{number}.key")) as (master, _owner):
            masters.append(bytes(master))
    differ(*masters)
    found: list[bytes] = []
    for _ in range(2):
        pem = encrypted_pem(bytearray(b"key"), memoryview(b"passphrase"))
        data = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
        # Octets of 16 bytes, in the order of the structure: salt, vector, and the ciphertext of one block.
        places = [place + 2 for place in range(len(data)) if data[place:].startswith(b"\x04\x10")]
        found += [data[place : place + 16] for place in places]
    assert len(found) == 6
    differ(*found)


def test_what_only_a_process_or_a_question_uses() -> None:
    differ(*(Challenge.new("acme", 0).nonce for _ in range(2)))
    differ(*(credential.new_secret() for _ in range(2)))
    differ(*(ClientGuard()._key for _ in range(2)))


def test_credentials_have_seeds_of_their_own() -> None:
    key = rsa.generate_private_key(65537, 2048)
    endorsement = SimpleNamespace(name_algorithm="sha256", key=key.public_key(), symmetric=128)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credential, "_hash_of", lambda _endorsement: hashes.SHA256())
        seeds = [credential._encrypt_seed(endorsement, key.public_key())[0] for _ in range(2)]  # type: ignore[arg-type]
    differ(*seeds)


def test_salts_of_images(workshop: Workshop) -> None:
    salts = []
    for name in ("one.img", "two.img"):
        path = workshop.folder / name
        path.write_bytes(bytes(4096))
        statement = sign_file(path, workshop.signer)
        assert statement.image is not None
        salts.append(statement.image.salt)
    differ(*salts)


def test_a_generator_that_cannot_be_reached_or_gives_too_little_is_no_randomness(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"\1" * 31)
    for place, words in ((short, "too few"), (tmp_path / "missing", "cannot be reached")):
        monkeypatch.setattr(randomness, "Path", lambda _name, place=place: place)
        with pytest.raises(KeyStoreError, match=words):
            randomness.fill_random(memoryview(bytearray(32)))
