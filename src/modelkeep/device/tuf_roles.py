"""Which metadata of update repositories a device has seen: versions that must not fall.

A version counts for as long as its role has the same keys: whoever stole one could push the version up for
ever, and a new key begins where its owner likes. A root is signed by the one before, so its version always
counts. Source: spec/install-v1.md, "Device state", and spec/update-v1.md, "What a device remembers".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from modelkeep.errors import RollbackError, StorageError

MOST_ROLES = 256
ROOT = "root"

_NAME_BYTES = 8


class TufRole(NamedTuple):
    """The newest metadata seen of a role of an update repository.

    Attributes:
        version: its version, which counts for as long as the role has the same keys.
        keys: digest of the role's key ids and threshold, 32 bytes.
    """

    version: int
    keys: bytes


Roles = Mapping[str, TufRole]


def name_of(repository: bytes, role: str) -> str:
    """Returns the name under which a state keeps a role of the repository with this id (32 bytes)."""
    return f"{repository[:_NAME_BYTES].hex()}/{role}"


def with_roles(known: Roles, seen: Roles) -> dict[str, TufRole]:
    """Returns what is known after `seen`; both by the names of `name_of`.

    Raises:
        RollbackError: newer metadata was seen before.
        StorageError: there is no room for another repository.
    """
    for name, role in seen.items():
        _check(name, role, known.get(name))
    merged = {**known, **seen}
    if len(merged) > MOST_ROLES:
        raise StorageError("the device's state has no room for another repository")
    return merged


def has_new_root(known: Roles, seen: Roles) -> bool:
    """Returns whether a root is news, which no old disk may bring back."""
    return any(_is_root(name) and known.get(name) != role for name, role in seen.items())


def _check(name: str, role: TufRole, known: TufRole | None) -> None:
    if known is None or (known.keys != role.keys and not _is_root(name)):
        return
    if role.version < known.version:
        raise RollbackError(
            f"the repository's {name.partition('/')[2]} has version {role.version}, "
            f"and this device has seen {known.version}",
            hint="use the repository itself, or a newer copy of it",
        )


def _is_root(name: str) -> bool:
    return name.partition("/")[2] == ROOT
