"""The files beside a file: its signed statement, and the tree for dm-verity."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from modelkeep import public_key
from modelkeep.dsse import EcdsaSigner
from modelkeep.errors import TamperedError
from modelkeep.memory.randomness import random_bytes
from modelkeep.public_key import TrustedKey
from modelkeep.storage import opened, read_small, refuse_overwrite, write_file
from modelkeep.verity import fs_verity
from modelkeep.verity.dm_verity import VerityTree
from modelkeep.verity.signed_statement import LARGEST_FILE, SignedStatement
from modelkeep.verity.statement import VerityStatement, describe

_SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Checked:
    """A file whose bytes are those that were signed.

    Attributes:
        statement: what was signed.
        by_kernel: whether the kernel holds the file to its fs-verity digest from now on.
    """

    statement: VerityStatement
    by_kernel: bool


def statement_path(path: str | os.PathLike[str]) -> Path:
    """Returns where the signed statement about a file is."""
    return Path(f"{os.fspath(path)}.verity.json")


def tree_path(path: str | os.PathLike[str]) -> Path:
    """Returns where the hash area of an image is."""
    return Path(f"{os.fspath(path)}.verity")


def sign_file(
    path: str | os.PathLike[str],
    signer: EcdsaSigner,
    *,
    salt: bytes | None = None,
    uuid: UUID | None = None,
    force: bool = False,
) -> VerityStatement:
    """Writes the statement about a file beside it, and the hash area if it is an image.

    Args:
        path: the file.
        signer: the publisher.
        salt: at most 256 bytes for dm-verity; random by default.
        uuid: name of the hash area; random by default.
        force: replace what is there.

    Raises:
        StorageError: the file cannot be read, or the others not be written.
        UsageError: the others exist, or the salt is too long.
        KeyStoreError: the signer's key cannot be used.
    """
    for target in (statement_path(path), tree_path(path)):
        refuse_overwrite(target, force=force)
    salt = random_bytes(_SALT_BYTES) if salt is None else salt
    with opened(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        statement, tree = describe(file, size, salt, uuid or uuid4())
    signed = SignedStatement.sign(statement.to_bytes(), signer)
    if tree is not None:
        write_file(tree_path(path), tree.hash_area, force=force)
    write_file(statement_path(path), signed.to_bytes(), force=force)
    return statement


def check_file(path: str | os.PathLike[str], trusted: Sequence[TrustedKey]) -> Checked:
    """Checks a file, and its hash area if there is one, against the signed statement beside it.

    Args:
        path: the file.
        trusted: public keys of publishers, of which one has to have signed.

    Raises:
        StorageError: a file cannot be read.
        SignatureError: no trusted key signed the statement.
        TamperedError: the file, or its hash area, is not what was signed.
        MalformedError: not a statement.
    """
    data = read_small(statement_path(path), LARGEST_FILE, "a verity statement")
    signed = SignedStatement.from_bytes(data)
    signed.check([public_key.load(key) for key in trusted])
    statement = VerityStatement.from_bytes(signed.payload)
    with opened(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        tree = statement.check(file, size)
        by_kernel = fs_verity.measured(file.fileno()) == statement.digest
    _check_tree(tree_path(path), tree)
    return Checked(statement, by_kernel)


def _check_tree(path: Path, tree: VerityTree | None) -> None:
    if tree is None or not path.exists():
        return
    if read_small(path, len(tree.hash_area), "this hash area") != tree.hash_area:
        raise TamperedError(f"{path}: not the tree that belongs to the signed root hash")
