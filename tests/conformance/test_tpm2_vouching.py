"""A TPM vouches for a device's key: to a credential, to an attesting key, and by its creation; live.

What is checked here is checked without a TPM library, as a verifier far away would.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.errors import KeyStoreError
from modelkeep.keys.registry import create_key
from modelkeep.memory import Pages
from support.swtpm import SoftwareTpm

MAGIC, CERTIFY, CREATION = 0xFF544347, 0x8017, 0x801A
CLOCK_AND_FIRMWARE = 25
BOUND_WITHOUT_PASSPHRASE, BOUND = 0x204B2, 0x200B2
OTHER_SYSTEM = b"\x11" * 32


@dataclass
class Vouched:
    """What a TPM signed about an object, taken apart."""

    nonce: bytes
    first: bytes
    second: bytes


def taken_apart(attested: bytes, kind: int) -> Vouched:
    assert struct.unpack_from(">IH", attested) == (MAGIC, kind)
    _, rest = field(attested[6:])
    nonce, rest = field(rest)
    first, rest = field(rest[CLOCK_AND_FIRMWARE:])
    second, rest = field(rest)
    assert not rest
    return Vouched(nonce, first, second)


def field(data: bytes) -> tuple[bytes, bytes]:
    end = 2 + int.from_bytes(data[:2], "big")
    return data[2:end], data[end:]


def name_of(public: bytes) -> bytes:
    return b"\x00\x0b" + hashlib.sha256(public[2:]).digest()


def attributes_and_policy(public: bytes) -> tuple[int, bytes]:
    attributes, size = struct.unpack_from(">IH", public, 6)
    return attributes, public[12 : 12 + size]


@contextmanager
def attesting_key(tpm: Any) -> Iterator[tuple[Any, ec.EllipticCurvePublicKey]]:
    """Yields a restricted signing key of the endorsement hierarchy and its public key."""
    from tpm2_pytss import ESYS_TR, TPM2B_PUBLIC, TPM2B_SENSITIVE_CREATE

    from modelkeep.keys.point import public_from_coordinates

    attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign"
    template = TPM2B_PUBLIC.parse("ecc256:ecdsa-sha256:null", objectAttributes=attributes)
    made = tpm.esapi.create_primary(TPM2B_SENSITIVE_CREATE(), template, ESYS_TR.ENDORSEMENT)
    try:
        point = made[1].publicArea.unique.ecc
        yield made[0], public_from_coordinates(bytes(point.x), bytes(point.y))
    finally:
        tpm.esapi.flush_context(made[0])


def certified(tpm: Any, key_file: Any, auth: Pages | None, nonce: bytes) -> tuple[bytes, bytes, Any]:
    """Returns what the attesting key signs about a loaded device key, the signature, and the key."""
    from tpm2_pytss import ESYS_TR, TPM2_ALG, TPM2B_DATA, TPMT_SIG_SCHEME

    from modelkeep.keys.tpm2.policy import CERTIFY as COMMAND
    from modelkeep.keys.tpm2.session import using
    from modelkeep.keys.tpm2.signer import signature_in_der

    with attesting_key(tpm) as (attesting, public), using(tpm, key_file, auth, COMMAND) as (key, session):
        scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
        answer = tpm.esapi.certify(
            key, attesting, TPM2B_DATA(nonce), scheme, session1=session, session2=ESYS_TR.PASSWORD
        )
        attested, signature = answer
        return bytes(attested), signature_in_der(signature), public


def activated(tpm: Any, key_file: Any, auth: Pages | None, secret: bytes, name: bytes) -> bytes:
    """Has the TPM open a credential that holds `secret` for the object called `name`."""
    from tpm2_pytss import ESYS_TR, TPM2B_PUBLIC, TPM2B_SENSITIVE_CREATE
    from tpm2_pytss.utils import make_credential

    from modelkeep.keys.tpm2.policy import ACTIVATE_CREDENTIAL
    from modelkeep.keys.tpm2.session import using

    attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt"
    template = TPM2B_PUBLIC.parse("rsa2048:aes128cfb", objectAttributes=attributes)
    made = tpm.esapi.create_primary(TPM2B_SENSITIVE_CREATE(), template, ESYS_TR.ENDORSEMENT)
    tpm.flush_later(made[0])
    blob, seed = make_credential(made[1], secret, name)
    with using(tpm, key_file, auth, ACTIVATE_CREDENTIAL) as (key, session):
        opened = tpm.esapi.activate_credential(
            key, made[0], blob, seed, session1=session, session2=ESYS_TR.PASSWORD
        )
        return bytes(opened)


@dataclass
class Made:
    """A device key, and the conditions that an administrator knows of."""

    address: Any
    conditions: bytes
    attributes: int

    @property
    def file(self) -> Any:
        return self.address.read("open")

    @contextmanager
    def connected(self) -> Iterator[tuple[Any, Pages | None]]:
        from modelkeep.keys.tpm2.device import connected

        auth = self.address.passphrase()
        try:
            with connected(self.address.tcti) as tpm:
                yield tpm, auth
        finally:
            if auth is not None:
                auth.close()


@pytest.fixture(params=["no policy", "PCR", "authority and passphrase"])
def made(
    request: pytest.FixtureRequest, tpm: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Made:
    from modelkeep.key_purpose import Purpose
    from modelkeep.keys.tpm2.address import TpmAddress
    from modelkeep.keys.tpm2.policy import Policy, pcr_digest
    from modelkeep.keys.tpm2.store import TpmStore
    from modelkeep.trust.signer import Signer
    from modelkeep.trust.signing_keys import create_signing_key

    path = tmp_path / "device.tpm"
    if request.param == "no policy":
        create_key(f"tpm2:{path}?pcrs=none")
        return Made(TpmAddress.parse(str(path)), bytes(32), BOUND_WITHOUT_PASSPHRASE)
    if request.param == "PCR":
        create_key(f"tpm2:{path}")
        return Made(TpmAddress.parse(str(path)), pcr_digest((7,), {7: bytes(32)}), BOUND_WITHOUT_PASSPHRASE)
    monkeypatch.setenv("KEY_PASSPHRASE", "correct horse")
    (tmp_path / "authority.pub").write_bytes(create_signing_key(tmp_path / "authority.pem", "approving"))
    authority = Signer.from_pem(tmp_path / "authority.pem", purpose=Purpose.APPROVE)
    create_key(f"tpm2:{path}?auth-env=KEY_PASSPHRASE&authority={tmp_path / 'authority.pub'}")
    TpmStore().approve(str(path), signer=authority, values={7: bytes(32)})
    address = TpmAddress.parse(f"{path}?auth-env=KEY_PASSPHRASE")
    return Made(address, Policy((7,), authority.public_key, auth=True).digest({}), BOUND)


def test_certified_key_is_checked_far_away(made: Made) -> None:
    from modelkeep.keys.tpm2.policy import device_key_digest

    nonce = os.urandom(32)
    with made.connected() as (tpm, auth):
        attested, signature, attesting = certified(tpm, made.file, auth, nonce)
    attesting.verify(signature, attested, ec.ECDSA(hashes.SHA256()))
    found = taken_apart(attested, CERTIFY)
    assert (found.nonce, found.first) == (nonce, name_of(made.file.public))
    assert attributes_and_policy(made.file.public) == (made.attributes, device_key_digest(made.conditions))


def test_credential_opens_on_the_device_key_itself(made: Made) -> None:
    secret = os.urandom(32)
    with made.connected() as (tpm, auth):
        assert activated(tpm, made.file, auth, secret, name_of(made.file.public)) == secret


def test_credential_for_another_object_does_not_open(made: Made) -> None:
    with pytest.raises(KeyStoreError), made.connected() as (tpm, auth):
        activated(tpm, made.file, auth, bytes(32), name_of(made.file.public[:-1] + b"\0"))


def test_creation_is_certified_after_a_restart(made: Made, tpm: SoftwareTpm) -> None:
    from dataclasses import replace

    from tpm2_pytss import ESYS_TR, TPM2_ALG, TPM2B_DATA, TPMT_SIG_SCHEME, TPMT_TK_CREATION

    from modelkeep.keys.tpm2.session import using
    from modelkeep.keys.tpm2.signer import signature_in_der

    tpm.restart()
    made.address = replace(made.address, tcti=tpm.tcti)
    nonce, key_file = os.urandom(32), made.file
    ticket, _ = TPMT_TK_CREATION.unmarshal(key_file.creation.ticket)
    with (
        made.connected() as (connection, auth),
        attesting_key(connection) as (attesting, public),
        using(connection, key_file, auth) as (key, _session),
    ):
        scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
        answer = connection.esapi.certify_creation(
            attesting,
            key,
            TPM2B_DATA(nonce),
            key_file.creation.digest,
            scheme,
            ticket,
            session1=ESYS_TR.PASSWORD,
        )
        attested, signature = bytes(answer[0]), signature_in_der(answer[1])
    public.verify(signature, attested, ec.ECDSA(hashes.SHA256()))
    found = taken_apart(attested, CREATION)
    assert (found.nonce, found.first) == (nonce, name_of(key_file.public))
    assert found.second == hashlib.sha256(key_file.creation.data[2:]).digest()


@pytest.mark.parametrize("command", ["CERTIFY", "ACTIVATE_CREDENTIAL"])
def test_branch_that_vouches_does_not_open_grants(made: Made, command: str) -> None:
    from tpm2_pytss import TPM2B_ECC_POINT, TPMS_ECC_POINT

    from modelkeep.keys.point import coordinates_of
    from modelkeep.keys.tpm2 import policy
    from modelkeep.keys.tpm2.session import using

    x, y = coordinates_of(ec.generate_private_key(ec.SECP256R1()).public_key())
    point = TPM2B_ECC_POINT(TPMS_ECC_POINT(x=x, y=y))
    with (
        pytest.raises(KeyStoreError),
        made.connected() as (tpm, auth),
        using(tpm, made.file, auth, getattr(policy, command)) as (key, session),
    ):
        tpm.esapi.ecdh_zgen(key, point, session1=session)


def test_another_system_is_not_vouched_for(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from modelkeep.keys.tpm2.address import TpmAddress

    create_key(f"tpm2:{tmp_path / 'device.tpm'}")
    made = Made(TpmAddress.parse(str(tmp_path / "device.tpm")), b"", 0)
    tpm.extend(7, OTHER_SYSTEM)
    with pytest.raises(KeyStoreError), made.connected() as (connection, auth):
        certified(connection, made.file, auth, bytes(32))
    with pytest.raises(KeyStoreError), made.connected() as (connection, auth):
        activated(connection, made.file, auth, bytes(32), name_of(made.file.public))


def test_wrong_passphrase_is_not_vouched_for(
    tpm: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelkeep.keys.tpm2.address import TpmAddress

    monkeypatch.setenv("KEY_PASSPHRASE", "correct horse")
    create_key(f"tpm2:{tmp_path / 'device.tpm'}?auth-env=KEY_PASSPHRASE")
    monkeypatch.setenv("KEY_PASSPHRASE", "incorrect horse")
    made = Made(TpmAddress.parse(f"{tmp_path / 'device.tpm'}?auth-env=KEY_PASSPHRASE"), b"", 0)
    with pytest.raises(KeyStoreError, match="passphrase"), made.connected() as (connection, auth):
        certified(connection, made.file, auth, bytes(32))
