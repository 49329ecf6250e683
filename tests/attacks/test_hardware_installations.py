"""Attacks on what a device with a TPM or a token installs: planting, importing, reading once, moving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import keywrap
from modelkeep.bundle.install_record import wrapping_context
from modelkeep.device.local_key import SecretLocalKey, from_secret
from modelkeep.errors import KeepError, KeyStoreError, TamperedError
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.keys.registry import open_key
from support import softhsm
from support.device import Device
from support.planting import Exchanger, contents_of
from support.swtpm import SoftwareTpm, copy_of, manufacture
from support.workshop import Workshop, scale_model

NOT_HERE = "not installed by this device"
OTHER_SYSTEM = b"\x11" * 32
KNOWN = bytes(range(64, 96))


@pytest.fixture
def device(tpm: SoftwareTpm, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    """A device whose key in the TPM has a passphrase."""
    monkeypatch.setenv("DEVICE_PASSPHRASE", "correct horse")
    return Device(workshop, tmp_path, f"tpm2:{tmp_path / 'disk' / 'device.tpm'}?auth-env=DEVICE_PASSPHRASE")


def another_model(workshop: Workshop, device: Device, bundle: Path) -> list[bytes]:
    """Returns what was sealed, with a model in it that multiplies by 3 and not by 2."""
    inner, model = contents_of(bundle, identity=device.identity(), verifier=workshop.verifier())
    planted = scale_model(3.0, 4)
    assert len(planted) == len(model)
    return [inner, planted]


def result(device: Device) -> float:
    with device.session() as session:
        return float(session.run({"x": np.ones((1, 4), np.float32)})["y"][0, 0])


def agreement_of(handle: Any) -> SecretLocalKey:
    """Returns what whoever reads the memory of a running device finds there."""
    agreement: SecretLocalKey = handle.local_key().for_state()
    return agreement


def sealed(device: Device, secret: bytes, passphrase: bytes | None, **changes: Any) -> bytes:
    """Seals `secret` as anybody can who may talk to the TPM: under the key's policy, which is in its file."""
    from tpm2_pytss import TPM2B_AUTH, TPM2B_SENSITIVE_CREATE, TPMS_SENSITIVE_CREATE

    from modelkeep.keys.tpm2.device import choose_tcti, connected
    from modelkeep.keys.tpm2.key import public_area_of
    from modelkeep.keys.tpm2.key_file import KeyFile
    from modelkeep.keys.tpm2.session import auth_value, parent_key
    from modelkeep.keys.tpm2.templates import sealed_template
    from modelkeep.memory import Pages

    key_file = KeyFile.read(device.disk / "device.tpm")
    area = public_area_of(key_file)
    template = sealed_template(bytes(area.authPolicy), auth=True)
    for name, value in changes.items():
        setattr(template.publicArea, name, value)
    auth = b""
    if passphrase is not None:
        pages = Pages.allocate(len(passphrase))
        pages.view[:] = passphrase
        auth = auth_value(pages)
    content = TPM2B_SENSITIVE_CREATE(TPMS_SENSITIVE_CREATE(userAuth=TPM2B_AUTH(auth), data=secret))
    with connected(choose_tcti(None)) as tpm, parent_key(tpm, key_file.parent) as parent:
        answer = tpm.esapi.create(parent, content, template)
        private, public = answer[0], answer[1]
        return bytes(public.marshal() + private.marshal())


def stranger() -> SecretLocalKey:
    """Returns an agreement of a key of one's own, for want of the device's."""
    return agreement_of(HpkeHandle(ec.generate_private_key(ec.SECP256R1())))


def vouched(agreement: SecretLocalKey, blob: bytes) -> Callable[[bytearray, bytes], bytes]:
    """Returns what wraps a key under KNOWN, which `blob` seals, with a tag of `agreement`."""

    def wrap(key: bytearray, context: bytes) -> bytes:
        body = keywrap.wrap(bytearray(KNOWN), key, context) + blob
        return agreement.authenticate(body, context) + body

    return wrap


def test_sealing_to_the_tpm_without_the_keys_passphrase(workshop: Workshop, device: Device) -> None:
    contents = another_model(workshop, device, device.install(epoch=1))
    exchanger = Exchanger(device.installed, device.state)
    for passphrase in (b"wrong horse", b"correct horse"):
        for agreement in (stranger(), from_secret(memoryview(bytes(32)))):
            exchanger.plant(contents, vouched(agreement, sealed(device, KNOWN, passphrase)))
            with pytest.raises(TamperedError, match=NOT_HERE):
                device.open()
    # What is missing is the agreement, which takes the passphrase.
    vouching = agreement_of(device.identity())
    exchanger.plant(contents, vouched(vouching, sealed(device, KNOWN, b"correct horse")))
    assert result(device) == 3.0


def test_sealed_objects_with_wrong_passphrases_do_not_lock_the_key(
    workshop: Workshop, device: Device
) -> None:
    contents = another_model(workshop, device, device.install(epoch=1))
    exchanger = Exchanger(device.installed, device.state)
    genuine = exchanger.record.wrapped
    for _ in range(8):
        exchanger.plant(contents, vouched(stranger(), sealed(device, KNOWN, b"wrong horse")))
        with pytest.raises(TamperedError, match=NOT_HERE):
            device.open()
    assert len(device.identity().local_key().unwrap(genuine, exchanger.context)) == 32


def test_sealing_to_the_tpm_of_a_device_in_another_boot_state(
    tpm: SoftwareTpm, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(workshop, tmp_path)
    contents = another_model(workshop, device, device.install(epoch=1))
    exchanger = Exchanger(device.installed, device.state)
    tpm.extend(7, OTHER_SYSTEM)
    with pytest.raises(KeyStoreError, match="state that the key is bound to"):
        device.identity().local_key()
    from tpm2_pytss import TPMA_OBJECT

    from modelkeep.keys.tpm2.templates import BOUND

    blob = sealed(device, KNOWN, None, objectAttributes=BOUND | TPMA_OBJECT.NODA)
    tpm.restart()
    monkeypatch.setenv("MODELKEEP_TPM2_TCTI", tpm.tcti)
    exchanger.plant(contents, vouched(stranger(), blob))
    with pytest.raises(TamperedError, match=NOT_HERE):
        device.open()


def test_a_sealed_object_that_could_leave_the_tpm(workshop: Workshop, device: Device) -> None:
    from tpm2_pytss import TPMA_OBJECT

    contents = another_model(workshop, device, device.install(epoch=1))
    exchanger = Exchanger(device.installed, device.state)
    movable = TPMA_OBJECT.ADMINWITHPOLICY, TPMA_OBJECT.ADMINWITHPOLICY | TPMA_OBJECT.FIXEDPARENT
    by_password = TPMA_OBJECT.FIXEDTPM | TPMA_OBJECT.FIXEDPARENT | TPMA_OBJECT.USERWITHAUTH
    refused = 0
    for attributes in (*movable, by_password):
        try:
            blob = sealed(device, KNOWN, b"correct horse", objectAttributes=attributes)
        except KeyStoreError:
            # fixedParent alone contradicts itself: the TPM does not make it.
            refused += 1
            continue
        exchanger.plant(contents, vouched(agreement_of(device.identity()), blob))
        with pytest.raises(TamperedError, match=NOT_HERE):
            device.open()
    assert refused <= 1


def test_a_sealed_object_under_a_policy_that_anybody_meets(workshop: Workshop, device: Device) -> None:
    contents = another_model(workshop, device, device.install(epoch=1))
    exchanger = Exchanger(device.installed, device.state)
    blob = sealed(device, KNOWN, b"correct horse", authPolicy=b"")
    exchanger.plant(contents, vouched(agreement_of(device.identity()), blob))
    with pytest.raises(TamperedError, match=NOT_HERE):
        device.open()


def test_an_installation_sealed_by_another_tpm(
    workshop: Workshop, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = another_model(workshop, device, device.install(epoch=1))
    exchanger = Exchanger(device.installed, device.state)
    agreement = agreement_of(device.identity())
    manufacture(tmp_path / "made")
    other = copy_of(tmp_path / "made", tmp_path / "other")
    other.start()
    with monkeypatch.context() as there:
        there.setenv("MODELKEEP_TPM2_TCTI", other.tcti)
        with pytest.raises(KeyStoreError, match="belongs to another TPM"):
            device.open()
        blob = sealed(device, KNOWN, b"correct horse")
    other.stop(clean=False)
    for vouching, refusal in ((stranger(), TamperedError), (agreement, KeyStoreError)):
        exchanger.plant(contents, vouched(vouching, blob))
        with pytest.raises(refusal, match=f"{NOT_HERE}|another TPM"):
            device.open()


def test_reading_the_memory_once_opens_nothing_that_is_installed_later_with_a_tpm(device: Device) -> None:
    device.install(epoch=1)
    # While this was open, somebody read all of it.
    seen = agreement_of(device.identity())
    first = Exchanger(device.installed, device.state).record
    device.install(epoch=2)
    record = Exchanger(device.installed, device.state).record
    context = wrapping_context(record.header_bytes)
    for part in (record.wrapped[:40], record.wrapped[32:72]):
        with pytest.raises(TamperedError):
            seen.unwrap(part, context)
    # Nor does the sealed object of the first, whose secret was in memory as well, fit the second.
    swapped = record.wrapped[32:72] + first.wrapped[72:]
    local = device.identity().local_key()
    with pytest.raises(TamperedError):
        local.unwrap(seen.authenticate(swapped, context) + swapped, context)
    assert len(local.unwrap(record.wrapped, context)) == 32


def test_reading_the_memory_once_opens_nothing_that_is_installed_later_with_a_token(
    token: str, workshop: Workshop, tmp_path: Path
) -> None:
    device = Device(workshop, tmp_path, f"pkcs11:{token}")
    device.install(epoch=1)
    handle: Any = open_key(device.key)
    seen: SecretLocalKey = handle._agreement()
    device.install(epoch=2)
    record = Exchanger(device.installed, device.state).record
    for part in (record.wrapped, record.wrapped[:40], record.wrapped[-40:]):
        with pytest.raises(KeepError):
            seen.unwrap(part, wrapping_context(record.header_bytes))


def test_planting_with_an_agreement_that_was_read_once(
    token: str, workshop: Workshop, tmp_path: Path
) -> None:
    device = Device(workshop, tmp_path, f"pkcs11:{token}")
    contents = another_model(workshop, device, device.install(epoch=1))
    exchanger = Exchanger(device.installed, device.state)
    handle: Any = open_key(device.key)
    seen: SecretLocalKey = handle._agreement()
    exchanger.plant(contents, lambda key, context: seen.wrap(memoryview(key), context))
    with pytest.raises(TamperedError, match=NOT_HERE):
        device.open()
    exchanger.plant(contents, lambda key, context: handle.local_key().wrap(memoryview(key), context))
    assert result(device) == 3.0


def test_putting_a_key_of_ones_own_in_the_place_of_one_with_a_passphrase(
    workshop: Workshop, device: Device, tmp_path: Path
) -> None:
    device.install(epoch=1)
    for folder, options in (("plain", "?pcrs=none"), ("guarded", "?auth-file=" + str(tmp_path / "own"))):
        (tmp_path / "own").write_text("wrong horse")
        (tmp_path / "own").chmod(0o600)
        (tmp_path / folder).mkdir()
        theirs = Device(workshop, tmp_path / folder, f"tpm2:{tmp_path / folder / 'own.tpm'}{options}")
        theirs.install(epoch=1)
        (device.disk / "device.tpm").write_bytes((tmp_path / folder / "own.tpm").read_bytes())
        device.installed.write_bytes(theirs.installed.read_bytes())
        with pytest.raises(
            KeyStoreError, match="no passphrase, and one was given|passphrase of the key is wrong"
        ):
            device.open()


def test_exchanging_the_wrapped_keys_of_two_installations(workshop: Workshop, device: Device) -> None:
    device.install(epoch=1)
    other = Exchanger(device.installed, device.state).record
    device.install(epoch=1)
    exchanger = Exchanger(device.installed, device.state)
    exchanger.wrapped(other.wrapped)
    with pytest.raises(TamperedError, match=NOT_HERE):
        device.open()
    exchanger.wrapped(exchanger.record.wrapped)
    device.open()


def test_every_byte_of_what_is_sealed_counts(device: Device) -> None:
    device.install(epoch=1)
    record = Exchanger(device.installed, device.state).record
    context, wrapped = wrapping_context(record.header_bytes), record.wrapped
    local = device.identity().local_key()
    cut = [wrapped[:end] for end in (0, 1, 39, 40, 41, 42, 100, len(wrapped) - 1)]
    long = [wrapped + b"\0", wrapped[:40] + b"\xff" * 200, bytes(len(wrapped)), wrapped[:40] + wrapped[-160:]]
    flipped = [
        wrapped[:place] + bytes([wrapped[place] ^ 1]) + wrapped[place + 1 :]
        for place in range(0, len(wrapped), 7)
    ]
    # And those that somebody sends who knows the agreement.
    seen = agreement_of(device.identity())
    bodies = [garbage[32:] for garbage in (*cut, *long)]
    vouched_for = [seen.authenticate(body, context) + body for body in bodies]
    short = wrapped[32:72] + sealed(device, KNOWN[:31], b"correct horse")
    vouched_for.append(seen.authenticate(short, context) + short)
    for garbage in (*cut, *long, *flipped, *vouched_for):
        with pytest.raises(TamperedError, match=NOT_HERE):
            local.unwrap(garbage, context)
    assert len(local.unwrap(wrapped, context)) == 32


def test_opening_in_another_boot_state(
    tpm: SoftwareTpm, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(workshop, tmp_path)
    device.install(epoch=1)
    local = device.identity().local_key()
    record = Exchanger(device.installed, device.state).record
    tpm.extend(7, OTHER_SYSTEM)
    with pytest.raises(KeyStoreError, match="state that the key is bound to"):
        device.open()
    # Even with the agreement from before, the sealed object stays shut.
    with pytest.raises(KeyStoreError, match="state that the key is bound to"):
        local.unwrap(record.wrapped, wrapping_context(record.header_bytes))
    tpm.restart()
    monkeypatch.setenv("MODELKEEP_TPM2_TCTI", tpm.tcti)
    device.open()


def in_token(token: str, work: str) -> str:
    """Does `work` at the token in a process of its own, in which nobody is logged in."""
    import subprocess
    import sys

    label = token.partition("object=")[2]
    prelude = (
        "import pkcs11\n"
        "from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass\n"
        "from pkcs11.util.ec import encode_named_curve_parameters\n"
        f"label, library = {label!r}, pkcs11.lib({softhsm.module()!r})\n"
        "(slot,) = [s for s in library.get_slots(token_present=True) if s.get_token().label == 'first']\n"
        "session = slot.get_token().open(rw=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude + work], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


PLANT_AES = f"""
session.create_object({{
    Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.TOKEN: True,
    Attribute.VALUE: {KNOWN!r}, Attribute.LABEL: label, Attribute.ID: bytes.fromhex(identifier),
    Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: False,
    Attribute.ENCRYPT: True, Attribute.DECRYPT: True,
}})
"""


def identifier_of(token: str) -> str:
    from pkcs11 import Attribute, ObjectClass

    from modelkeep.keys.pkcs11.key import find
    from modelkeep.keys.pkcs11.token import login
    from modelkeep.keys.pkcs11.uri import TokenAddress

    address = TokenAddress.parse(token)
    with login(address).session() as session:
        private = find(session, address, ObjectClass.PRIVATE_KEY)
        return bytes(private[Attribute.ID]).hex()


def destroy_aes_key(token: str) -> None:
    """Destroys the AES key beside a private key, as its owner's other tools can."""
    from pkcs11 import ObjectClass

    from modelkeep.keys.pkcs11.key import find
    from modelkeep.keys.pkcs11.local import aes_keys_of
    from modelkeep.keys.pkcs11.token import login
    from modelkeep.keys.pkcs11.uri import TokenAddress

    address = TokenAddress.parse(token)
    with login(address).session() as session:
        (key,) = aes_keys_of(session, find(session, address, ObjectClass.PRIVATE_KEY))
        key.destroy()


@pytest.mark.parametrize("genuine", [True, False], ids=["beside the genuine key", "where there is none"])
def test_putting_an_aes_key_of_ones_own_into_the_token(
    token: str, workshop: Workshop, tmp_path: Path, genuine: bool
) -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    device = Device(workshop, tmp_path, f"pkcs11:{token}")
    if not genuine:
        destroy_aes_key(token)
    contents = another_model(workshop, device, device.install(epoch=1))
    in_token(token, f"identifier = {identifier_of(token)!r}\n{PLANT_AES}")
    device.open()

    def wrap(key: bytearray, context: bytes) -> bytes:
        return bytes(12) + AESGCM(KNOWN).encrypt(bytes(12), bytes(key), context)

    Exchanger(device.installed, device.state).plant(contents, wrap)
    with pytest.raises((TamperedError, KeyStoreError), match=f"{NOT_HERE}|AES key"):
        device.open()


EXCHANGE_PUBLIC_HALF = """
named = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.LABEL: label}
for each in list(session.get_objects(named)):
    each.destroy()
curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
session.create_object({
    **named, **curve, Attribute.KEY_TYPE: KeyType.EC, Attribute.TOKEN: True, Attribute.PRIVATE: False,
    Attribute.ID: bytes.fromhex(identifier), Attribute.EC_POINT: bytes.fromhex(point),
})
print(len(list(session.get_objects(named))))
"""


def test_exchanging_the_public_half_of_a_key_in_a_token(
    token: str, workshop: Workshop, tmp_path: Path
) -> None:
    from modelkeep.keys.point import point_of

    device = Device(workshop, tmp_path, f"pkcs11:{token}")
    # Whose agreement with the device's key the attacker can compute, too.
    own = ec.generate_private_key(ec.SECP256R1())
    point = b"\x04\x41" + point_of(own.public_key())
    work = f"identifier, point = {identifier_of(token)!r}, {point.hex()!r}\n{EXCHANGE_PUBLIC_HALF}"
    assert in_token(token, work) == "1\n"
    with pytest.raises(KeyStoreError, match="does not go with the private key"):
        device.identity()


def test_exchanging_the_public_half_of_a_signing_key_in_a_token(token: str) -> None:
    from modelkeep.keys.point import point_of
    from modelkeep.keys.registry import create_key
    from modelkeep.trust.signers import open_signer

    create_key(f"pkcs11:{token}", "signing")
    assert open_signer(f"pkcs11:{token}").public_key
    own = ec.generate_private_key(ec.SECP256R1())
    point = b"\x04\x41" + point_of(own.public_key())
    work = f"identifier, point = {identifier_of(token)!r}, {point.hex()!r}\n{EXCHANGE_PUBLIC_HALF}"
    assert in_token(token, work) == "1\n"
    with pytest.raises(KeyStoreError, match="does not go with the private key"):
        open_signer(f"pkcs11:{token}")


PLANT_PRIVATE = """
curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
session.create_object({
    **curve, Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: KeyType.EC, Attribute.LABEL: label,
    Attribute.ID: bytes.fromhex(identifier), Attribute.TOKEN: True, Attribute.PRIVATE: False,
    Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True, Attribute.DERIVE: True,
    Attribute.VALUE: bytes(range(1, 33)),
})
"""


def test_putting_a_private_key_of_ones_own_into_the_token(
    token: str, workshop: Workshop, tmp_path: Path
) -> None:
    device = Device(workshop, tmp_path, f"pkcs11:{token}")
    device.install(epoch=1)
    in_token(token, f"identifier = {identifier_of(token)!r}\n{PLANT_PRIVATE}")
    # The genuine key is found as before; the other one never counts.
    device.open()
