"""An identity: a key, and the rules for finding and opening the grants made for it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from modelkeep.device.device_key import is_device_key
from modelkeep.device.local_key import LocalKey
from modelkeep.device.state import DeviceState
from modelkeep.errors import NotForThisDeviceError, RefusedError, TamperedError, UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.glance import Glance
from modelkeep.grants.grant import Grant, standing_alone
from modelkeep.grants.header import KEY_ID_BYTES, PASSPHRASE, GrantHeader, key_id
from modelkeep.grants.kinds import count_kind
from modelkeep.grants.recipient import KeyHandle, Recipient
from modelkeep.grants.secret import unpack
from modelkeep.keys.registry import open_key
from modelkeep.memory import wipe


@dataclass(frozen=True, slots=True)
class UnwrappedGrant:
    """What a grant gave; a context manager that wipes the data key on leaving.

    Attributes:
        data_key: not yet held against the bundle's commitment; do that before using it.
        device_id: name of the device, as the granter wrote it; may be empty.
        constraints: what the grant demands; now authentic, not yet checked.
    """

    data_key: DataKey
    device_id: str
    constraints: Constraints

    def close(self) -> None:
        """Wipes the data key."""
        self.data_key.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()


class Identity:
    """Who opens: the key behind a URI such as ``file:pi-17.pem``, or a key handle.

    Raises:
        UsageError: an unknown scheme, or an address that its store does not understand.
        KeyStoreError: the key cannot be found, unlocked or used.
        StorageError: a file cannot be read.
    """

    def __init__(self, key: str | os.PathLike[str] | KeyHandle) -> None:
        self._handle = open_key(key) if isinstance(key, str | os.PathLike) else key

    @property
    def type(self) -> str:
        """Recipient type of the grants that this identity opens."""
        return self._handle.type

    def recipient(self, device_id: str = "") -> Recipient:
        """Returns the recipient to grant to, so that this identity can open.

        Raises:
            UsageError: the key does not go with `device_id`.
        """
        return self._handle.recipient(device_id)

    def select(
        self,
        grants: Iterable[Grant],
        bundle: bytes,
        *,
        accept: Callable[[Grant], None] | None = None,
        passed_over: Counter[str] | None = None,
    ) -> Grant:
        """Returns the first grant for this identity, by key id, without opening any.

        Reads no further than the match, so the grants may be a stream of any length.

        Args:
            grants: all grants of the bundle.
            bundle: the 16 bytes of the bundle's id.
            accept: raises a RefusedError for a grant to pass over, for example an expired one
                that was renewed further down; when none is left, its first refusal is raised.
            passed_over: kinds of grants that were left out of `grants`, for the message.

        Raises:
            NotForThisDeviceError: none of them is for this identity.
            MalformedError: a passphrase grant is not the only one.
            RefusedError: `accept` refused every grant for this identity.
        """
        kinds: Counter[str] = Counter()
        refusal: RefusedError | None = None
        # Filled while the grants are read, so an empty one is not yet nothing.
        others = Counter() if passed_over is None else passed_over
        for grant in self._fitting(grants, bundle, kinds, others):
            try:
                if accept is not None:
                    accept(grant)
                return grant
            except RefusedError as error:
                refusal = refusal or error
        raise refusal or _no_grant(kinds + others)

    def glance(self, bundle: bytes) -> Glance | None:
        """Returns what passes over grants for other keys; None for a passphrase, which must see them all."""
        if self.type == PASSPHRASE:
            return None
        public = self._handle.public_value(GrantHeader(bundle, self.type, bytes(KEY_ID_BYTES)))
        return Glance(self.type, key_id(bundle, self.type, public))

    def unwrap(self, grant: Grant, bundle: bytes) -> UnwrappedGrant:
        """Returns what `grant` holds.

        Args:
            grant: a grant that `select` returned.
            bundle: the 16 bytes of the bundle's id.

        Raises:
            TamperedError: the grant is for another bundle, or does not open.
            MalformedError: it opens, but does not hold a data key.
            KeyStoreError: the key cannot be used.
        """
        if grant.header.bundle != bundle:
            raise TamperedError("the grant was made for another bundle")
        if grant.header.type != self.type:
            raise NotForThisDeviceError(f"the grant is for {grant.header.type}, this identity is {self.type}")
        secret = self._handle.unwrap(grant)
        try:
            data_key, device_id = unpack(secret)
        finally:
            wipe(secret)
        return UnwrappedGrant(data_key, device_id, grant.header.constraints)

    def local_key(self) -> LocalKey:
        """Returns what protects models that are installed on this device; the caller closes it.

        Raises:
            UsageError: this identity belongs to no device.
            KeyStoreError: the key cannot be used.
        """
        if not is_device_key(self._handle):
            raise no_device(self.type)
        return self._handle.local_key()

    def device_state(self) -> DeviceState | None:
        """Returns what this device remembers, to be closed by the caller; None for keys of no device."""
        return DeviceState(self._handle) if is_device_key(self._handle) else None

    def close(self) -> None:
        """Forgets the key."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Identity({self.type})"

    def _fitting(
        self, grants: Iterable[Grant], bundle: bytes, kinds: Counter[str], passed_over: Counter[str]
    ) -> Iterator[Grant]:
        for grant in standing_alone(grants, passed_over):
            kind = grant.header.type
            count_kind(kinds, kind)
            if kind == self.type and grant.header.key_id == self._key_id(grant, bundle):
                yield grant

    def _key_id(self, grant: Grant, bundle: bytes) -> bytes:
        return key_id(bundle, self.type, self._handle.public_value(grant.header))


def no_device(kind: str) -> UsageError:
    """Returns the error for keys that belong to no device."""
    return UsageError(f"a {kind} cannot install a model", hint="install with a key of the device")


def _no_grant(kinds: Counter[str]) -> NotForThisDeviceError:
    number = kinds.total()
    found = f"{number} grant{'s' if number != 1 else ''}" if number else "no grants"
    names = f": {', '.join(sorted(kinds))}" if kinds else ""
    return NotForThisDeviceError(
        f"no grant fits this identity; the bundle has {found}{names}",
        hint="ask the publisher to add one: modelkeep grant BUNDLE -r PUBLIC-KEY",
    )
