"""A P-256 key in a token, of which key agreement can be asked for. Source: PKCS #11, CKM_ECDH1_DERIVE."""

from __future__ import annotations

from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from modelkeep.errors import KeyStoreError
from modelkeep.grants.agreement_key import AgreementKey
from modelkeep.keys.pkcs11.token import Login
from modelkeep.keys.pkcs11.uri import TokenAddress
from modelkeep.keys.point import padded, point_of, public_from_point

_POINT_BYTES = 65
# DER: an octet string of 65 bytes. The standard wraps points so, some modules do not.
_WRAPPING = b"\x04\x41"


class TokenKey(AgreementKey):
    """A private key that its token keeps.

    Raises:
        KeyStoreError: the token has no such key, it is no P-256 key, or its public half is not its own.
    """

    def __init__(self, login: Login, address: TokenAddress) -> None:
        self._login = login
        self._address = address
        with login.session() as session:
            # The private key first: where that is gone, its public half helps nobody.
            find(session, address, ObjectClass.PRIVATE_KEY)
            self._public = public_key_of(find(session, address, ObjectClass.PUBLIC_KEY))
        self._check_public_half()

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Returns the public key."""
        return self._public

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Returns the x coordinate of the shared point, 32 bytes.

        Raises:
            KeyStoreError: the token cannot be used, or the key is gone.
        """
        with self._login.session() as session:
            private = find(session, self._address, ObjectClass.PRIVATE_KEY)
            shared = private.derive_key(
                KeyType.GENERIC_SECRET,
                256,
                mechanism=Mechanism.ECDH1_DERIVE,
                mechanism_param=(pkcs11.KDF.NULL, None, point_of(peer_public_key)),
                # HPKE is finished here, so that the agreed secret has to come out; the key does not.
                template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True, Attribute.TOKEN: False},
            )
            try:
                return padded(bytes(shared[Attribute.VALUE]))
            finally:
                shared.destroy()

    def _check_public_half(self) -> None:
        # Grants for another half would be somebody else's, and an agreement with it is known to
        # whoever made it.
        trial = ec.generate_private_key(ec.SECP256R1())
        if self.exchange(ec.ECDH(), trial.public_key()) != trial.exchange(ec.ECDH(), self._public):
            raise foreign_half(self._address)

    def __repr__(self) -> str:
        return "TokenKey(hidden)"


def foreign_half(address: TokenAddress) -> KeyStoreError:
    """Returns the error for a public object that somebody put there: that takes no PIN."""
    return KeyStoreError(
        f"the public key in the token does not go with the private key {address.object_name}",
        hint="find out who uses this token; put the public key back, or create the key again",
    )


def find(session: pkcs11.Session, address: TokenAddress, kind: ObjectClass) -> Any:
    """Returns the one object of `kind` that `address` names.

    Raises:
        KeyStoreError: there is none, or there are several.
    """
    found = find_all(session, address, kind)
    if not found:
        raise KeyStoreError(
            f"the token has no key named {address.object_name}", hint="make one: modelkeep keys create URI"
        )
    if len(found) > 1:
        raise KeyStoreError(
            f"the token has several keys named {address.object_name}", hint="add ;id= to the URI"
        )
    return found[0]


def find_all(session: pkcs11.Session, address: TokenAddress, kind: ObjectClass) -> list[Any]:
    """Returns the objects of `kind` that `address` names.

    A private key that is not private was put there by somebody who has no PIN, and does not count.
    """
    wanted: dict[Attribute, Any] = {Attribute.CLASS: kind}
    if kind is ObjectClass.PRIVATE_KEY:
        wanted[Attribute.PRIVATE] = True
    if address.label is not None:
        wanted[Attribute.LABEL] = address.label
    if address.identifier is not None:
        wanted[Attribute.ID] = address.identifier
    return list(session.get_objects(wanted))


def public_key_of(public: Any) -> ec.EllipticCurvePublicKey:
    """Returns a token's public key object as a key.

    Raises:
        KeyStoreError: not a P-256 key.
    """
    point = bytes(public[Attribute.EC_POINT])
    try:
        return public_from_point(point.removeprefix(_WRAPPING) if len(point) > _POINT_BYTES else point)
    except ValueError:
        raise KeyStoreError("the token's key is not a P-256 key") from None
