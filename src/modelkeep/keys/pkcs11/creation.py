"""Making keys in a token, and finding all that belongs to one."""

from __future__ import annotations

from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from modelkeep.errors import KeyStoreError
from modelkeep.keys.pkcs11.key import find_all
from modelkeep.keys.pkcs11.local import KEPT, KEY_BYTES, aes_keys_of, find_aes_keys
from modelkeep.keys.pkcs11.uri import TokenAddress
from modelkeep.memory.randomness import random_bytes

_FOR_INSTALLATIONS = {Mechanism.AES_KEY_GEN, Mechanism.AES_GCM}


def generate(session: pkcs11.Session, address: TokenAddress, kind: str) -> None:
    """Makes a key pair in the token and, for kind ``p256``, the AES key that goes with it.

    A token that has no AES-GCM gets the pair alone.

    Raises:
        KeyStoreError: the token made a key that could leave it, and nothing is left of it.
        PKCS11Error: the token refuses, and nothing is left.
    """
    names: dict[str, Any] = {
        "label": address.label,
        "id": address.identifier or random_bytes(8),
        "store": True,
    }
    curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
    uses = MechanismFlag.DERIVE if kind == "p256" else MechanismFlag.SIGN | MechanismFlag.VERIFY
    made = list(parameters.generate_keypair(capabilities=uses, private_template=KEPT, **names))
    try:
        if kind == "p256" and session.token.slot.get_mechanisms() >= _FOR_INSTALLATIONS:
            aes = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
            made.append(
                session.generate_key(KeyType.AES, 8 * KEY_BYTES, capabilities=aes, template=KEPT, **names)
            )
        _check(made[1:])
    except Exception:
        for each in made:
            each.destroy()
        raise


def objects_of(session: pkcs11.Session, address: TokenAddress) -> list[Any]:
    """Returns all objects of the key that `address` names, the private key last: it leads to the others."""
    private = find_all(session, address, ObjectClass.PRIVATE_KEY)
    beside = [each for key in private for each in aes_keys_of(session, key)]
    if not private and address.label is not None and address.identifier is not None:
        # Left behind by whoever deleted the private key alone; it must not pair with a new one.
        beside = find_aes_keys(session, address.label, address.identifier)
    return beside + find_all(session, address, ObjectClass.PUBLIC_KEY) + private


def _check(kept: list[Any]) -> None:
    if any(each[Attribute.EXTRACTABLE] or not each[Attribute.SENSITIVE] for each in kept):
        raise KeyStoreError("the token made a key that could leave it, and the key was destroyed")
