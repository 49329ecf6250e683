"""What a key store must do, as checks to run against the real thing.

    import pytest
    from modelkeep.testing.keystores import KEY_STORE_CHECKS, KeyStoreCheck, KeyStoreSubject

    @pytest.fixture
    def subject(tmp_path):
        return KeyStoreSubject("acme:" + str(tmp_path / "pi-17.key"))

    @pytest.mark.parametrize("check", KEY_STORE_CHECKS, ids=lambda check: check.__name__)
    def test_store_conforms(check: KeyStoreCheck, subject: KeyStoreSubject) -> None:
        check(subject)

Every check wants a subject of its own whose key does not exist yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from modelkeep.errors import KeepError, NotForThisDeviceError, TamperedError, UnavailableError, UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.grant import Grant
from modelkeep.grants.recipient import issue
from modelkeep.keys.identity import Identity
from modelkeep.testing.key_store_subject import KeyStoreSubject, create, created, data_key, opened, refuses
from modelkeep.testing.leaks import Overheard, listening
from modelkeep.testing.local_keys import (
    CONTEXT,
    expect_to_unwrap,
    protects_what_is_installed,
    refuses_changed_installations,
    refuses_what_another_device_installed,
    remembers_its_state,
)

__all__ = ["KEY_STORE_CHECKS", "KeyStoreCheck", "KeyStoreSubject"]

BUNDLE_BYTES = 16
THREADS, TIMES = 4, 5

KeyStoreCheck = Callable[[KeyStoreSubject], None]


def opens_its_grant(subject: KeyStoreSubject) -> None:
    """A grant for the created key opens, with its constraints and device id."""
    recipient, bundle = created(subject), os.urandom(BUNDLE_BYTES)
    constraints = Constraints(not_after=2_000_000_000, delegate=True)
    with data_key() as key, opened(subject) as identity:
        grant = Grant.from_bytes(issue(recipient, bundle, key, constraints).to_bytes())
        with identity.unwrap(identity.select([grant], bundle), bundle) as unwrapped:
            assert unwrapped.data_key.view == key.view, "the data key came back changed"
            assert unwrapped.constraints == constraints, "the constraints came back changed"
            assert unwrapped.device_id == recipient.device_id, "the device id came back changed"


def names_the_same_recipient(subject: KeyStoreSubject) -> None:
    """The opened key is the recipient that was returned when it was created."""
    recipient = created(subject)
    with opened(subject) as identity:
        again, bundle = identity.recipient(), os.urandom(BUNDLE_BYTES)
        assert identity.type == again.type == recipient.type, "the recipient type differs"
        headers = [each.header(bundle, Constraints()) for each in (recipient, again)]
        assert headers[0].key_id == headers[1].key_id, "the opened key is another key"


def passes_over_foreign_grants(subject: KeyStoreSubject) -> None:
    """A grant for another key, or for another bundle, is not this key's."""
    recipient, bundle, other = created(subject), os.urandom(BUNDLE_BYTES), os.urandom(BUNDLE_BYTES)
    with data_key() as key, opened(subject) as identity:
        elsewhere = issue(recipient, other, key)
        refuses(NotForThisDeviceError, lambda: identity.select([elsewhere], bundle))
        refuses(TamperedError, lambda: identity.unwrap(elsewhere, bundle))


def refuses_changed_grants(subject: KeyStoreSubject) -> None:
    """A flipped bit anywhere in the wrapped key, or a changed constraint, does not open."""
    recipient, bundle = created(subject), os.urandom(BUNDLE_BYTES)
    with data_key() as key, opened(subject) as identity:
        grant = issue(recipient, bundle, key, Constraints(not_after=1))
        # The last byte, one in the middle, and the sender's part where there is one.
        for place in (-1, len(grant.wrapped) // 2, 7):
            damaged = bytearray(grant.wrapped)
            damaged[place] ^= 1
            refuses(TamperedError, partial(identity.unwrap, replace(grant, wrapped=bytes(damaged)), bundle))
        header = grant.header._replace(constraints=Constraints(not_after=2))
        widened = Grant(header, header.to_bytes(), grant.wrapped)
        refuses(TamperedError, partial(identity.unwrap, widened, bundle))


def leaves_an_existing_key_alone(subject: KeyStoreSubject) -> None:
    """Creating where a key is fails, and the key still opens what it did."""
    recipient, bundle = created(subject), os.urandom(BUNDLE_BYTES)
    with data_key() as key:
        grant = issue(recipient, bundle, key)
        refuses(UsageError, lambda: create(subject))
        _expect_to_open(subject, grant, bundle, key)


def survives_a_restart(subject: KeyStoreSubject) -> None:
    """A key opens its grants after the store was switched off and on."""
    recipient, bundle = created(subject), os.urandom(BUNDLE_BYTES)
    with data_key() as key:
        grant = issue(recipient, bundle, key)
        subject.restart()
        _expect_to_open(subject, grant, bundle, key)


def serves_many_threads(subject: KeyStoreSubject) -> None:
    """One open key is used by several threads, and several open keys at once."""
    recipient, bundle = created(subject), os.urandom(BUNDLE_BYTES)
    keys = [DataKey.generate() for _ in range(THREADS)]
    grants = [issue(recipient, bundle, key) for key in keys]

    def work(number: int) -> bool:
        grant, key = grants[number], keys[number]
        with opened(subject) as own:
            wrapped = own.local_key().wrap(key.view, CONTEXT)
            expect_to_unwrap(shared.local_key(), wrapped, key)
            return all(
                _opens_to(identity, grant, bundle, key) for _ in range(TIMES) for identity in (shared, own)
            )

    with opened(subject) as shared, ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(work, range(THREADS))), "threads got each other's keys"
    for key in keys:
        key.close()


def says_when_it_is_locked(subject: KeyStoreSubject) -> None:
    """A wrong PIN or passphrase is an UnavailableError, and the right one still works afterwards."""
    recipient, bundle = created(subject), os.urandom(BUNDLE_BYTES)
    locked = subject.locked_uri
    if locked is None:
        return
    with data_key() as key:
        grant = issue(recipient, bundle, key)
        refuses(UnavailableError, partial(_open_once, locked, grant, bundle))
        _expect_to_open(subject, grant, bundle, key)


def says_when_the_key_is_gone(subject: KeyStoreSubject) -> None:
    """A deleted key is an UnavailableError; a new one in its place does not open what the old one did."""
    recipient, bundle = created(subject), os.urandom(BUNDLE_BYTES)
    if subject.delete is None:
        return
    with data_key() as key:
        grant = issue(recipient, bundle, key)
        with opened(subject) as identity:
            wrapped = identity.local_key().wrap(key.view, CONTEXT)
        subject.delete()
        refuses(UnavailableError, partial(_open_once, subject.uri, grant, bundle))
        created(subject)
        refuses(NotForThisDeviceError, partial(_open_once, subject.uri, grant, bundle))
        with opened(subject) as identity:
            refuses(TamperedError, partial(identity.local_key().unwrap, wrapped, CONTEXT))


def keeps_secrets_to_itself(subject: KeyStoreSubject) -> None:
    """Neither logs, nor output, nor the texts of objects and errors hold a secret."""
    with listening() as overheard, data_key() as key:
        recipient, bundle = created(subject), os.urandom(BUNDLE_BYTES)
        grant = issue(recipient, bundle, key)
        with opened(subject) as identity:
            overheard.note(identity, recipient, identity.recipient())
            identity.unwrap(grant, bundle).close()
            torn = replace(grant, wrapped=grant.wrapped[:-1])
            _note_failure(overheard, partial(identity.unwrap, torn, bundle))
        for uri in filter(None, (subject.locked_uri, subject.uri + "-which-is-not-there")):
            _note_failure(overheard, partial(_open_once, uri, grant, bundle))
        secrets = (*subject.secrets, bytes(key.view))
    leaked = overheard.leaks_of(secrets)
    assert not leaked, f"a secret shows up in {', '.join(leaked)}"


KEY_STORE_CHECKS: tuple[KeyStoreCheck, ...] = (
    opens_its_grant,
    names_the_same_recipient,
    passes_over_foreign_grants,
    refuses_changed_grants,
    protects_what_is_installed,
    refuses_changed_installations,
    refuses_what_another_device_installed,
    remembers_its_state,
    leaves_an_existing_key_alone,
    survives_a_restart,
    serves_many_threads,
    says_when_it_is_locked,
    says_when_the_key_is_gone,
    keeps_secrets_to_itself,
)


def _open_once(uri: str, grant: Grant, bundle: bytes) -> None:
    with Identity(uri) as identity:
        identity.unwrap(identity.select([grant], bundle), bundle).close()


def _opens_to(identity: Identity, grant: Grant, bundle: bytes, key: DataKey) -> bool:
    with identity.unwrap(identity.select([grant], bundle), bundle) as unwrapped:
        return bool(unwrapped.data_key.view == key.view)


def _expect_to_open(subject: KeyStoreSubject, grant: Grant, bundle: bytes, key: DataKey) -> None:
    with opened(subject) as identity:
        assert _opens_to(identity, grant, bundle, key), "the grant opens to another data key"


def _note_failure(overheard: Overheard, work: Callable[[], object]) -> None:
    try:
        work()
    except KeepError as error:
        overheard.note(error)
