"""What a publisher says of a file: the digests by which a kernel checks it.

Source: spec/posture-v1.md section 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO
from uuid import UUID

from modelkeep import canonical
from modelkeep.errors import MalformedError, TamperedError
from modelkeep.record import Record
from modelkeep.verity import dm_verity, fs_verity
from modelkeep.verity.dm_verity import MOST_SALT, VerityTree
from modelkeep.verity.hash_tree import BLOCK_BYTES, DIGEST_BYTES

_FORMAT, _VERSION = "modelkeep/verity", 1
_LARGEST_SIZE = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Image:
    """A file as an image under dm-verity.

    Attributes:
        root_hash: 32 bytes.
        salt: at most 256 bytes.
        uuid: name of the hash area.
    """

    root_hash: bytes
    salt: bytes
    uuid: UUID


@dataclass(frozen=True, slots=True)
class VerityStatement:
    """What is signed.

    Attributes:
        size: the file's size in bytes.
        digest: its fs-verity digest, 32 bytes.
        image: what dm-verity makes of it; None if it is no image.
    """

    size: int
    digest: bytes
    image: Image | None

    def to_bytes(self) -> bytes:
        """Returns the payload."""
        members: dict[str, Any] = {
            "format": _FORMAT,
            "version": _VERSION,
            "size": self.size,
            "fs_verity": self.digest.hex(),
        }
        if self.image is not None:
            members["dm_verity"] = {
                "root_hash": self.image.root_hash.hex(),
                "salt": self.image.salt.hex(),
                "uuid": str(self.image.uuid),
            }
        return canonical.encode(members)

    @staticmethod
    def from_bytes(data: bytes) -> VerityStatement:
        """Reads the payload.

        Raises:
            MalformedError: not such a statement.
            UnsupportedVersionError: a newer one.
        """
        with Record(canonical.decode(data, "verity statement"), "verity statement") as record:
            record.check_format(_FORMAT, _VERSION)
            return VerityStatement(
                record.integer("size", highest=_LARGEST_SIZE),
                record.hexadecimal("fs_verity", DIGEST_BYTES),
                _image(record.object("dm_verity")) if "dm_verity" in record else None,
            )

    def check(self, data: BinaryIO, size: int) -> VerityTree | None:
        """Checks a file's bytes; returns its tree if it is an image.

        Args:
            data: the file, from its beginning; it can go back there.
            size: its size in bytes.

        Raises:
            TamperedError: another size or other bytes.
        """
        if size != self.size:
            raise TamperedError(f"the file has {size} bytes, and {self.size} are signed")
        if fs_verity.digest(data, size) != self.digest:
            raise TamperedError("the file's fs-verity digest is not the signed one")
        if self.image is None:
            return None
        data.seek(0)
        tree = dm_verity.build(data, size, self.image.salt, self.image.uuid)
        if tree.root_hash != self.image.root_hash:
            raise TamperedError("the image's dm-verity root hash is not the signed one")
        return tree


def describe(data: BinaryIO, size: int, salt: bytes, uuid: UUID) -> tuple[VerityStatement, VerityTree | None]:
    """Returns the statement about a file, and the tree if it has whole blocks and so can be an image.

    Args:
        data: the file, from its beginning; it can go back there.
        size: its size in bytes.
        salt: at most 256 bytes, for dm-verity.
        uuid: name of the hash area.

    Raises:
        UsageError: the salt is too long.
    """
    digest = fs_verity.digest(data, size)
    if not size or size % BLOCK_BYTES:
        return VerityStatement(size, digest, None), None
    data.seek(0)
    tree = dm_verity.build(data, size, salt, uuid)
    return VerityStatement(size, digest, Image(tree.root_hash, salt, uuid)), tree


def _image(record: Record) -> Image:
    with record:
        root_hash = record.hexadecimal("root_hash", DIGEST_BYTES)
        salt, uuid = record.text("salt", longest=2 * MOST_SALT), record.text("uuid", longest=36)
        try:
            image = Image(root_hash, bytes.fromhex(salt), UUID(uuid))
        except ValueError:
            raise MalformedError("verity statement: salt or uuid are not in form") from None
        # One text per value, so that a changed text is a changed value.
        if (image.salt.hex(), str(image.uuid)) != (salt, uuid):
            raise MalformedError("verity statement: salt or uuid are not in their one form")
        return image
