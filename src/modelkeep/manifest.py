"""The manifest: what a bundle is, in public, signed form. Source: spec/bundle-v1.md, "Manifest"."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

from blake3 import blake3

from modelkeep import canonical
from modelkeep.errors import MalformedError, UnsupportedVersionError, UsageError
from modelkeep.record import Record
from modelkeep.release_order import ReleaseOrder

FORMAT = "modelkeep/bundle"
VERSION = 1
LARGEST_MANIFEST = 2**20
MOST_MEMBERS = 65_536 + 1  # model files and the inner manifest
LARGEST_MEMBER = (2**32 - 1) * (2**20 - 16) - 40
MOST_GRANT_ISSUERS = 64
LONGEST_UPSTREAM = 1024
LONGEST_ISSUER = 1024  # hexadecimal digits

_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){0,7}")


class Suite(Enum):
    """How payload segments are encrypted; the value is the number bound into associated data."""

    AES256_GCM_HKDF_1MB = 1
    CHACHA20_POLY1305_HKDF_1MB = 2


class LeafAlgorithm(Enum):
    """Hash over ciphertext segments and over the list of their digests (32 bytes each)."""

    BLAKE3 = "blake3"
    SHA256 = "sha256"

    def digest(self, data: bytes | memoryview) -> bytes:
        """Returns the 32-byte digest of `data`."""
        if self is LeafAlgorithm.SHA256:
            return hashlib.sha256(data).digest()
        return blake3(data).digest()


class Coverage(Enum):
    """Which files the OMS statement lists with SHA-256 digests."""

    FILES = "files"
    """Every file of the bundle: `model_signing` proves the whole bundle."""
    LEAVES = "leaves"
    """`manifest.json` alone; the payload is bound through leaf digests only."""


class Member(NamedTuple):
    """One encrypted file of the payload.

    Attributes:
        size: plaintext length in bytes.
        leaves: 32-byte digest of the concatenated leaf digests.
    """

    size: int
    leaves: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """The public description of a bundle.

    Attributes:
        model: stable id of the model, for example ``acme/detector``.
        bundle: 16 random bytes, new at every seal.
        epoch: release counter of the model; never falls on a device.
        sealed_at: seconds since 1970-01-01 UTC.
        family: group of models that one publisher key may sign; may be empty.
        release: version for people; may be empty.
        suite: how payload segments are encrypted.
        commitment: 32 bytes that fix the data key.
        leaf_algorithm: hash used for leaves.
        coverage: which files the OMS statement lists.
        members: encrypted files; member 0 is the inner manifest.
        grant_issuers: SubjectPublicKeyInfo (DER) of those who may sign grants; when not
            empty, only grants signed by one of them count.
        upstream: whose signature the model had before its publisher sealed it, in words; may be empty.
    """

    model: str
    bundle: bytes
    epoch: int
    sealed_at: int
    family: str
    release: str
    suite: Suite
    commitment: bytes
    leaf_algorithm: LeafAlgorithm
    coverage: Coverage
    members: tuple[Member, ...]
    grant_issuers: tuple[bytes, ...] = ()
    upstream: str = ""

    @property
    def order(self) -> ReleaseOrder:
        """Its place among the releases of its model."""
        return ReleaseOrder(self.epoch, self.sealed_at)

    @property
    def binding(self) -> bytes:
        """What people decide by, in 32 bytes, for the commitment to name.

        SHA-256 of the canonical JSON of bundle, epoch, family, model, release and sealed_at.
        """
        decided_by = {
            "bundle": self.bundle.hex(),
            "epoch": self.epoch,
            "family": self.family,
            "model": self.model,
            "release": self.release,
            "sealed_at": self.sealed_at,
        }
        return hashlib.sha256(canonical.encode(decided_by)).digest()

    def to_bytes(self) -> bytes:
        """Returns the canonical JSON encoding.

        Raises:
            UsageError: more files than the manifest can list in its 1 MiB.
        """
        data = canonical.encode(_to_json(self))
        if len(data) > LARGEST_MANIFEST:
            raise UsageError(
                "too many files for one bundle: the manifest would exceed 1 MiB",
                hint="put small files into one archive before sealing",
            )
        return data

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Parses a manifest. The signature over `data` must have been verified before.

        Raises:
            MalformedError: not a manifest, or not in canonical form.
            UnsupportedVersionError: written by a newer modelkeep.
        """
        if len(data) > LARGEST_MANIFEST:
            raise MalformedError("manifest: larger than 1 MiB")
        with Record(canonical.decode(data, "manifest"), "manifest") as record:
            _check_version(record)
            return _from_record(record)


def check_model_id(model: str) -> str:
    """Returns `model` if it is a well-formed model id.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(model, str) or not _MODEL_ID.fullmatch(model):
        raise UsageError(
            f"not a model id: {model!r}",
            hint="use letters, digits, '.', '_', '-' and '/' between parts, for example acme/detector",
        )
    return model


def _check_version(record: Record) -> None:
    if record.text("format") != FORMAT:
        raise MalformedError("manifest: not a modelkeep bundle")
    version = record.integer("version")
    if version != VERSION:
        raise UnsupportedVersionError(
            f"manifest: format version {version} is not supported", hint="update modelkeep"
        )


def _to_json(manifest: Manifest) -> dict[str, Any]:
    result: dict[str, Any] = {
        "bundle": manifest.bundle.hex(),
        "commitment": manifest.commitment.hex(),
        "digest": manifest.coverage.value,
        "epoch": manifest.epoch,
        "family": manifest.family,
        "format": FORMAT,
        "leaf": manifest.leaf_algorithm.value,
        "members": [{"leaves": member.leaves.hex(), "size": member.size} for member in manifest.members],
        "model": manifest.model,
        "release": manifest.release,
        "sealed_at": manifest.sealed_at,
        "suite": manifest.suite.name,
        "version": VERSION,
    }
    if manifest.grant_issuers:
        result["grant_issuers"] = [key.hex() for key in manifest.grant_issuers]
    if manifest.upstream:
        result["upstream"] = manifest.upstream
    return result


def _from_record(record: Record) -> Manifest:
    return Manifest(
        model=_model(record),
        bundle=record.hexadecimal("bundle", 16),
        epoch=record.integer("epoch"),
        sealed_at=record.integer("sealed_at"),
        family=record.text("family", longest=1024),
        release=record.text("release", longest=256),
        suite=record.choice("suite", Suite.__members__),
        commitment=record.hexadecimal("commitment", 32),
        leaf_algorithm=record.choice("leaf", _by_value(LeafAlgorithm)),
        coverage=record.choice("digest", _by_value(Coverage)),
        members=_members(record),
        grant_issuers=_grant_issuers(record),
        upstream=_upstream(record),
    )


def _model(record: Record) -> str:
    model = record.text("model")
    if not _MODEL_ID.fullmatch(model):
        raise record.fault("model", "is not a model id")
    return model


def _members(record: Record) -> tuple[Member, ...]:
    items = record.items("members", longest=MOST_MEMBERS)
    if len(items) < 2:
        raise record.fault("members", "must list the inner manifest and at least one file")
    return tuple(_member(item) for item in items)


def _member(item: object) -> Member:
    with Record(item, "manifest: member") as record:
        return Member(record.integer("size", highest=LARGEST_MEMBER), record.hexadecimal("leaves", 32))


def _grant_issuers(record: Record) -> tuple[bytes, ...]:
    if "grant_issuers" not in record:
        return ()
    items = record.items("grant_issuers", longest=MOST_GRANT_ISSUERS)
    if not items:
        raise record.fault("grant_issuers", "must not be empty when present")
    return tuple(_issuer(record, item) for item in items)


def _upstream(record: Record) -> str:
    if "upstream" not in record:
        return ""
    upstream = record.text("upstream", longest=LONGEST_UPSTREAM)
    if not upstream:
        raise record.fault("upstream", "must not be empty when present")
    return upstream


def _issuer(record: Record, item: object) -> bytes:
    if not isinstance(item, str) or len(item) > LONGEST_ISSUER:
        raise record.fault("grant_issuers", "must list public keys")
    try:
        key = bytes.fromhex(item)
    except ValueError:
        raise record.fault("grant_issuers", "must list public keys in hexadecimal") from None
    if key.hex() != item:
        raise record.fault("grant_issuers", "must list public keys in lower-case hexadecimal")
    return key


def _by_value(kind: type[Enum]) -> Mapping[str, Any]:
    return MappingProxyType({str(item.value): item for item in kind})
