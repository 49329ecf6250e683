"""A key store as its author presents it to the checks, and what the checks do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from modelkeep.errors import KeepError
from modelkeep.grants.data_key import DATA_KEY_BYTES, DataKey
from modelkeep.grants.recipient import Recipient
from modelkeep.keys.identity import Identity
from modelkeep.keys.registry import create_key


def _nothing() -> None:
    """Does nothing: the store has nothing to restart."""


@dataclass(frozen=True, slots=True)
class KeyStoreSubject:
    """A key store as its author presents it to the checks.

    Attributes:
        uri: names the key; nothing is there yet.
        create_uri: where creating the key takes other options than opening it, the URI with them.
        kind: kind of key to create, or None for the store's usual one.
        locked_uri: names the same key with a wrong PIN or passphrase, or None if nothing locks it.
        secrets: PINs, passphrases and the like, which must not show up anywhere.
        delete: removes the key behind the store's back, or None if nobody can.
        restart: switches the store off and on.
    """

    uri: str
    create_uri: str | None = None
    kind: str | None = None
    locked_uri: str | None = None
    secrets: tuple[bytes, ...] = ()
    delete: Callable[[], None] | None = None
    restart: Callable[[], None] = _nothing


def create(subject: KeyStoreSubject) -> Recipient | None:
    """Makes the subject's key."""
    return create_key(subject.create_uri or subject.uri, subject.kind)


def created(subject: KeyStoreSubject) -> Recipient:
    """Makes the subject's key and returns its recipient."""
    recipient = create(subject)
    assert recipient is not None, "creating a key returned no recipient"
    return recipient


def opened(subject: KeyStoreSubject) -> closing[Identity]:
    """Opens the subject's key for a `with` block."""
    return closing(Identity(subject.uri))


@contextmanager
def data_key() -> Iterator[DataKey]:
    """Yields a new data key."""
    with DataKey.generate() as key:
        assert len(key.view) == DATA_KEY_BYTES
        yield key


def refuses(expected: type[KeepError], work: Callable[[], object]) -> None:
    """Raises AssertionError unless `work` is refused with `expected`."""
    try:
        work()
    except expected:
        return
    except Exception as error:
        raise AssertionError(f"expected {expected.__name__}, got {type(error).__name__}: {error}") from error
    raise AssertionError(f"expected {expected.__name__}, and nothing was refused")
