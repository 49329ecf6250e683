"""What has to be random is: twice made, it is not zero and not the same."""

from __future__ import annotations

import base64
import io
import json
from contextlib import closing
from pathlib import Path

from modelkeep.bundle.install_record import InstallRecord, wrapping_context
from modelkeep.bundle.installation import Installation
from modelkeep.container import names
from modelkeep.device.state_file import read_state
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.passphrase import PassphraseRecipient
from modelkeep.manifest import Suite
from modelkeep.memory import Pages
from modelkeep.payload import spool
from modelkeep.payload.cipher import StreamCipher, new_header
from modelkeep.updates.installation import install
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


def test_each_state_is_authenticated_with_a_key_of_its_own(workshop: Workshop) -> None:
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
