"""The evidence that this device's TPM gives about a device key. Source: spec/posture-v1.md section 5.

The attesting key is a primary key of the endorsement hierarchy, made when it is needed: the same every time,
so that there is no file for it that could be lost, and nothing secret to keep. Every step is a connection of
its own, since small TPMs hold three objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tpm2_pytss import (
    ESYS_TR,
    TPM2_ALG,
    TPM2B_DATA,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPMT_SIG_SCHEME,
    TPMT_TK_CREATION,
)

from modelkeep.keys.tpm2.device import Handle, Tpm, connected, pcr_selection
from modelkeep.keys.tpm2.key import public_key_of
from modelkeep.keys.tpm2.key_file import KeyFile
from modelkeep.keys.tpm2.policy import ACTIVATE_CREDENTIAL, CERTIFY
from modelkeep.keys.tpm2.session import load, parent_key, using
from modelkeep.keys.tpm2.signer import signature_in_der
from modelkeep.memory import Pages
from modelkeep.posture.challenge import Challenge
from modelkeep.posture.evidence import Evidence
from modelkeep.posture.tpm2.attest import Signed
from modelkeep.posture.tpm2.credential import Credential
from modelkeep.posture.tpm2.evidence import TpmEvidence
from modelkeep.probes.tpm2_endorsement import endorsement_key, open_credential

# What firmware, boot loader and kernel measure themselves into.
ATTESTED_PCRS = (0, 1, 2, 3, 4, 5, 6, 7, 11)

_ATTESTER = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign"
_DEVICE, _ATTESTING = "device", "attester"


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A device key in this TPM.

    Attributes:
        file: its key file.
        tcti: how the TPM is reached.
        auth: its passphrase, which the caller owns, or None.
    """

    file: KeyFile
    tcti: str
    auth: Pages | None = None

    @property
    def point(self) -> bytes:
        """The public key: 65 bytes, an uncompressed point.

        Raises:
            MalformedError: the key file holds none.
        """
        return public_key_of(self.file).public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def introduce(key: DeviceKey) -> Evidence:
    """Returns what a device shows without being asked: which keys, and whose TPM. It proves nothing.

    Raises:
        KeyStoreError: the TPM cannot be reached, or refuses.
    """
    with (
        connected(key.tcti) as tpm,
        endorsement_key(tpm) as (_, area, certificate),
        attesting_key(tpm) as (_, attester),
    ):
        certificates = (certificate,) if certificate else ()
        return Evidence(key.point, tpm=TpmEvidence(key.file.public[2:], area, certificates, attester))


def answer(
    key: DeviceKey,
    challenge: Challenge,
    log: bytes = b"",
    *,
    pcrs: tuple[int, ...] = ATTESTED_PCRS,
    unapproved: bool = False,
) -> Evidence:
    """Returns the answer to a question.

    Args:
        key: which key the question is about.
        challenge: the question.
        log: the event log; may be empty.
        pcrs: which values are shown.
        unapproved: the key's policy is not met: only that the TPM made the key is shown, and the state.

    Raises:
        KeyStoreError: the TPM cannot be reached, the question is for another
            one, or the key's policy is not met.
    """
    introduction = introduce(key)
    assert introduction.tpm is not None
    qualifying = challenge.for_key(key.point)
    quoted, values = _quote(key, pcrs, qualifying)
    shown = replace(
        introduction.tpm,
        opened=_open_all(key, challenge, unapproved=unapproved),
        certified=None if unapproved else _certify(key, qualifying),
        created=_certify_creation(key, qualifying) if unapproved else None,
        quoted=quoted,
        pcrs=values,
        log=log,
    )
    return replace(introduction, nonce=challenge.nonce, tpm=shown)


@contextmanager
def attesting_key(tpm: Tpm) -> Iterator[tuple[Handle, bytes]]:
    """Yields the key that signs this TPM's statements, and its public area (TPMT_PUBLIC).

    Raises:
        KeyStoreError: the TPM refuses.
    """
    template = TPM2B_PUBLIC.parse("ecc256:ecdsa-sha256:null", objectAttributes=_ATTESTER)
    created = tpm.esapi.create_primary(TPM2B_SENSITIVE_CREATE(), template, ESYS_TR.ENDORSEMENT)
    key, public = created[0], created[1]
    try:
        area = public.publicArea
        yield key, area.marshal()
    finally:
        tpm.esapi.flush_context(key)


def _open_all(key: DeviceKey, challenge: Challenge, *, unapproved: bool) -> Mapping[str, bytes]:
    credentials = challenge.credentials
    opened = {}
    if _ATTESTING in credentials:
        opened[_ATTESTING] = _open_for_attester(key.tcti, credentials[_ATTESTING])
    if _DEVICE in credentials and not unapproved:
        opened[_DEVICE] = _open_for_device(key, credentials[_DEVICE])
    return opened


def _open_for_attester(tcti: str, credential: Credential) -> bytes:
    with (
        connected(tcti) as tpm,
        endorsement_key(tpm) as (endorsement, *_),
        attesting_key(tpm) as (attester, _),
    ):
        return open_credential(tpm, endorsement, attester, ESYS_TR.PASSWORD, credential)


def _open_for_device(key: DeviceKey, credential: Credential) -> bytes:
    with (
        connected(key.tcti) as tpm,
        using(tpm, key.file, key.auth, ACTIVATE_CREDENTIAL) as (device, session),
        endorsement_key(tpm) as (endorsement, *_),
    ):
        return open_credential(tpm, endorsement, device, session, credential)


def _certify(key: DeviceKey, qualifying: bytes) -> Signed:
    with (
        connected(key.tcti) as tpm,
        using(tpm, key.file, key.auth, CERTIFY) as (device, session),
        attesting_key(tpm) as (attester, _),
    ):
        data, scheme, password = TPM2B_DATA(qualifying), _own_scheme(), ESYS_TR.PASSWORD
        answered = tpm.esapi.certify(device, attester, data, scheme, session1=session, session2=password)
        return _signed(answered)


def _certify_creation(key: DeviceKey, qualifying: bytes) -> Signed:
    ticket, _ = TPMT_TK_CREATION.unmarshal(key.file.creation.ticket)
    with connected(key.tcti) as tpm:
        with parent_key(tpm, key.file.parent, key.file.parent_name) as parent:
            device = load(tpm, key.file, parent)
        with attesting_key(tpm) as (attester, _):
            answered = tpm.esapi.certify_creation(
                attester, device, TPM2B_DATA(qualifying), key.file.creation.digest, _own_scheme(), ticket
            )
            return _signed(answered)


def _quote(key: DeviceKey, pcrs: tuple[int, ...], qualifying: bytes) -> tuple[Signed, Mapping[int, bytes]]:
    """Returns a quote and the values it is over."""
    with connected(key.tcti) as tpm, attesting_key(tpm) as (attester, _):
        values = tpm.pcr_values(pcrs)
        answered = tpm.esapi.quote(attester, pcr_selection(pcrs), TPM2B_DATA(qualifying), _own_scheme())
        return _signed(answered), values


def _signed(answered: Any) -> Signed:
    attested, signature = answered
    return Signed(bytes(attested), signature_in_der(signature))


def _own_scheme() -> Any:
    return TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
