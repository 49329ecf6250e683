"""A P-256 key in a TPM, of which key agreement can be asked for. Source: TPM 2.0, TPM2_ECDH_ZGen."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from tpm2_pytss import TPM2_ALG, TPM2B_ECC_POINT, TPM2B_PUBLIC, TPMS_ECC_POINT

from modelkeep.errors import MalformedError
from modelkeep.grants.agreement_key import AgreementKey
from modelkeep.keys.point import coordinates_of, padded, public_from_coordinates
from modelkeep.keys.tpm2.device import connected
from modelkeep.keys.tpm2.key_file import KeyFile
from modelkeep.keys.tpm2.session import using
from modelkeep.keys.tpm2.templates import BOUND
from modelkeep.memory import Pages


class TpmKey(AgreementKey):
    """A private key that its TPM keeps; every use is one short connection.

    Args:
        key_file: which key.
        tcti: how the TPM is reached.
        auth: the key's passphrase, which this object owns, or None.

    Raises:
        MalformedError: the key file holds no P-256 key, or one that could leave its TPM.
    """

    def __init__(self, key_file: KeyFile, tcti: str, auth: Pages | None = None) -> None:
        self._file = key_file
        self._tcti = tcti
        self._auth = auth
        self._public = public_key_of(key_file)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Returns the public key."""
        return self._public

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Returns the x coordinate of the shared point, 32 bytes.

        Raises:
            KeyStoreError: the TPM cannot be reached, or the key's policy is not met.
        """
        x, y = coordinates_of(peer_public_key)
        peer = TPM2B_ECC_POINT(TPMS_ECC_POINT(x=x, y=y))
        with connected(self._tcti) as tpm, using(tpm, self._file, self._auth) as (key, session):
            # Held until its bytes are copied: tpm2-pytss frees the whole with the first reference.
            shared = tpm.esapi.ecdh_zgen(key, peer, session1=session)
            return padded(bytes(shared.point.x))

    def __repr__(self) -> str:
        return "TpmKey(hidden)"


def public_key_of(key_file: KeyFile) -> ec.EllipticCurvePublicKey:
    """Returns the public key that a key file holds.

    Raises:
        MalformedError: none, or of a key that could leave its TPM.
    """
    area = public_area_of(key_file)
    try:
        if area.type != TPM2_ALG.ECC:
            raise ValueError
        point = area.unique.ecc
        return public_from_coordinates(bytes(point.x), bytes(point.y))
    except ValueError:
        raise MalformedError("TPM key file: holds no P-256 key") from None


def public_area_of(key_file: KeyFile) -> Any:
    """Returns the key's public area.

    Raises:
        MalformedError: not a public area, or of a key that could leave its TPM.
    """
    try:
        public, used = TPM2B_PUBLIC.unmarshal(key_file.public)
        area = public.publicArea
        bound = area.objectAttributes & BOUND == BOUND
    except Exception:
        # The library reports broken bytes in several ways of its own.
        raise MalformedError("TPM key file: the public part is damaged") from None
    if used != len(key_file.public) or not bound:
        raise MalformedError("TPM key file: the key is not bound to its TPM")
    return area
