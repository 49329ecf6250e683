"""What the local key of a store must do: it protects what is installed, and the device's state."""

from __future__ import annotations

from contextlib import closing
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from modelkeep.device.local_key import LocalKey
from modelkeep.errors import TamperedError
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.memory import wipe
from modelkeep.testing.key_store_subject import KeyStoreSubject, created, data_key, opened, refuses

CONTEXT = b"a context"


def protects_what_is_installed(subject: KeyStoreSubject) -> None:
    """The local key unwraps what it wrapped, in its context, and nothing that another key wrapped."""
    recipient = created(subject)
    with data_key() as key, opened(subject) as identity, opened(subject) as again:
        wrapped = identity.local_key().wrap(key.view, CONTEXT)
        expect_to_unwrap(again.local_key(), wrapped, key)
        refuses(TamperedError, partial(again.local_key().unwrap, wrapped, b"another context"))
        planted = recipient.wrap(bytearray(key.view), CONTEXT)
        refuses(TamperedError, partial(again.local_key().unwrap, planted, CONTEXT))


def refuses_changed_installations(subject: KeyStoreSubject) -> None:
    """What the local key wrapped does not unwrap with a bit flipped, cut short, lengthened or replaced."""
    created(subject)
    with data_key() as key, opened(subject) as identity, closing(identity.local_key()) as local:
        wrapped = local.wrap(key.view, CONTEXT)
        for place in range(0, len(wrapped), 1 + len(wrapped) // 24):
            flipped = bytearray(wrapped)
            flipped[place] ^= 1
            refuses(TamperedError, partial(local.unwrap, bytes(flipped), CONTEXT))
        for other in (b"", wrapped[:1], wrapped[:-1], wrapped + b"\0", bytes(len(wrapped)), wrapped[::-1]):
            refuses(TamperedError, partial(local.unwrap, other, CONTEXT))
        expect_to_unwrap(local, wrapped, key)


def refuses_what_another_device_installed(subject: KeyStoreSubject) -> None:
    """What other keys wrapped does not unwrap, nor does this key's where the other store takes it."""
    created(subject)
    keys = ec.generate_private_key(ec.SECP256R1()), X25519PrivateKey.generate()
    with data_key() as key, opened(subject) as identity, closing(identity.local_key()) as local:
        wrapped = local.wrap(key.view, CONTEXT)
        for other in (HpkeHandle(each).local_key() for each in keys):
            refuses(TamperedError, partial(local.unwrap, other.wrap(key.view, CONTEXT), CONTEXT))
            refuses(TamperedError, partial(other.unwrap, wrapped, CONTEXT))


def remembers_its_state(subject: KeyStoreSubject) -> None:
    """What the local key wraps for the device's state unwraps after a restart, and what it installed, too."""
    created(subject)
    with data_key() as key:
        with opened(subject) as identity, closing(identity.local_key()) as local:
            wrapped, state = local.wrap(key.view, CONTEXT), local.for_state().wrap(key.view, b"the state")
        subject.restart()
        with opened(subject) as identity, closing(identity.local_key()) as local:
            expect_to_unwrap(local, wrapped, key)
            expect_to_unwrap(local.for_state(), state, key, b"the state")
            refuses(TamperedError, partial(local.for_state().unwrap, state, CONTEXT))
            refuses(TamperedError, partial(local.for_state().unwrap, state[:-1], b"the state"))


def expect_to_unwrap(local: LocalKey, wrapped: bytes, key: DataKey, context: bytes = CONTEXT) -> None:
    """Raises AssertionError unless `local` unwraps `wrapped` to `key`."""
    unwrapped = local.unwrap(wrapped, context)
    assert unwrapped == key.view, "the installed key came back changed"
    wipe(unwrapped)
