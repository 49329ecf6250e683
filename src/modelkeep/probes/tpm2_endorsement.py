"""The endorsement key of this device's TPM, and its maker's certificate.

Source: TCG EK Credential Profile for TPM Family 2.0, level 0, version 2.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tpm2_pytss import (
    ESYS_TR,
    TPM2_ALG,
    TPM2_SE,
    TPM2B_ENCRYPTED_SECRET,
    TPM2B_ID_OBJECT,
    TPM2B_SENSITIVE_CREATE,
    TPMT_SYM_DEF,
)
from tpm2_pytss.utils import NVReadEK, create_ek_template

from modelkeep.errors import KeyStoreError
from modelkeep.keys.tpm2.device import Handle, Tpm
from modelkeep.posture.tpm2.credential import Credential

# The kinds that makers certify: their certificates are looked for in this order.
_KINDS = ("EK-RSA2048", "EK-ECC256")


@contextmanager
def endorsement_key(tpm: Tpm) -> Iterator[tuple[Handle, bytes, bytes]]:
    """Yields the endorsement key, its public area (TPMT_PUBLIC) and its certificate, which may be empty.

    Raises:
        KeyStoreError: the TPM refuses.
    """
    certificate, template = _certified(tpm)
    created = tpm.esapi.create_primary(TPM2B_SENSITIVE_CREATE(), template, ESYS_TR.ENDORSEMENT)
    key, public = created[0], created[1]
    try:
        area = public.publicArea
        yield key, area.marshal(), certificate
    finally:
        tpm.esapi.flush_context(key)


def open_credential(
    tpm: Tpm, endorsement: Handle, bound: Handle, session: Handle, credential: Credential
) -> bytes:
    """Returns what a credential holds that is bound to a loaded object.

    Args:
        endorsement: the endorsement key.
        bound: the object.
        session: what authorises the object's use.
        credential: what the asker sent.

    Raises:
        KeyStoreError: the credential is for another TPM or another object.
    """
    blob, _ = TPM2B_ID_OBJECT.unmarshal(credential.blob)
    seed, _ = TPM2B_ENCRYPTED_SECRET.unmarshal(credential.seed)
    with _endorsed(tpm) as second:
        opened = tpm.esapi.activate_credential(
            bound, endorsement, blob, seed, session1=session, session2=second
        )
        return bytes(opened)


@contextmanager
def _endorsed(tpm: Tpm) -> Iterator[Handle]:
    """Yields a session that may use the endorsement key."""
    plain = TPMT_SYM_DEF(algorithm=TPM2_ALG.NULL)
    session = tpm.esapi.start_auth_session(ESYS_TR.NONE, ESYS_TR.NONE, TPM2_SE.POLICY, plain, TPM2_ALG.SHA256)
    try:
        tpm.esapi.policy_secret(ESYS_TR.ENDORSEMENT, session, b"", b"", b"", 0, session1=ESYS_TR.PASSWORD)
        yield session
    finally:
        tpm.esapi.flush_context(session)


def _certified(tpm: Tpm) -> tuple[bytes, Any]:
    """Returns the certificate and template of the first kind that has a certificate, or of the first kind."""
    read = NVReadEK(tpm.esapi)
    found = [create_ek_template(kind, read) for kind in _KINDS]
    for certificate, template in found:
        if certificate:
            return _trimmed(bytes(certificate)), template
    return b"", found[0][1]


def _trimmed(certificate: bytes) -> bytes:
    # Some makers fill the place up behind the certificate.
    if len(certificate) < 4 or certificate[:2] != b"\x30\x82":
        raise KeyStoreError("the TPM's endorsement certificate is damaged")
    return certificate[: 4 + int.from_bytes(certificate[2:4])]
