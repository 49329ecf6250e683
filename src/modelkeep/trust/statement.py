"""The in-toto statement of OpenSSF Model Signing: which files are signed, with which digests.

Source: OpenSSF Model Signing specification 1.0 and in-toto Statement v1.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

from modelkeep import canonical
from modelkeep.errors import MalformedError, SignatureError, UsageError
from modelkeep.record import Record

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
MOST_RESOURCES = 2**18

_DIGEST_BYTES = 32


class Statement(NamedTuple):
    """What a bundle signature says.

    Attributes:
        subject: name of the signed thing, for people.
        resources: SHA-256 digest (32 bytes) of every signed file, by its name with `/` between parts.
        ignore_paths: files that other verifiers are told to skip; ours never does.
    """

    subject: str
    resources: Mapping[str, bytes]
    ignore_paths: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Returns the canonical JSON encoding; its length depends on the names alone.

        Raises:
            UsageError: a digest is not 32 bytes long.
        """
        if any(len(digest) != _DIGEST_BYTES for digest in self.resources.values()):
            raise UsageError("SHA-256 digests are 32 bytes long")
        names = sorted(self.resources, key=_order)
        root = _root_digest([self.resources[name] for name in names])
        return canonical.encode(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{"name": self.subject, "digest": {"sha256": root.hex()}}],
                "predicateType": PREDICATE_TYPE,
                "predicate": {
                    "serialization": self._serialization(),
                    "resources": [
                        {"name": name, "algorithm": "sha256", "digest": self.resources[name].hex()}
                        for name in names
                    ],
                },
            }
        )

    def _serialization(self) -> dict[str, Any]:
        result: dict[str, Any] = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
        if self.ignore_paths:
            result["ignore_paths"] = list(self.ignore_paths)
        return result

    @staticmethod
    def from_bytes(data: bytes) -> Statement:
        """Parses a statement in any JSON layout. The signature over `data` must have been verified before.

        Raises:
            MalformedError: not such a statement, or one that contradicts itself.
            SignatureError: the signer signed another kind of document.
        """
        with Record(canonical.decode_lenient(data, "statement"), "statement") as record:
            _check_types(record)
            subject, root = _subject(record)
            with record.object("predicate") as predicate:
                ignore_paths = _serialization(predicate)
                resources = _resources(predicate)
        if _root_digest(list(resources.values())) != root:
            raise MalformedError("statement: the root digest is not the digest of the resources")
        return Statement(subject, resources, ignore_paths)


def _order(name: str) -> tuple[str, ...]:
    # Part by part, as paths sort: "a/b" comes before "a.b".
    return tuple(name.split("/"))


def _root_digest(digests: list[bytes]) -> bytes:
    return hashlib.sha256(b"".join(digests)).digest()


def _check_types(record: Record) -> None:
    if record.text("_type") != STATEMENT_TYPE or record.text("predicateType") != PREDICATE_TYPE:
        raise SignatureError(
            "the signature covers another kind of document than a model",
            hint="sign with modelkeep or with model_signing 1.0 or newer",
        )


def _subject(record: Record) -> tuple[str, bytes]:
    subjects = record.items("subject", longest=MOST_RESOURCES)
    if len(subjects) != 1:
        raise record.fault("subject", "must list exactly one subject")
    with Record(subjects[0], "statement: subject") as subject, subject.object("digest") as digest:
        return subject.text("name"), digest.hexadecimal("sha256", _DIGEST_BYTES)


def _serialization(predicate: Record) -> tuple[str, ...]:
    with predicate.object("serialization") as record:
        record.choice("method", {"files": None})
        record.choice("hash_type", {"sha256": None})
        if record.boolean("allow_symlinks"):
            raise record.fault("allow_symlinks", "must be false")
        if "ignore_paths" not in record:
            return ()
        paths = record.items("ignore_paths", longest=MOST_RESOURCES)
        if not all(isinstance(path, str) for path in paths):
            raise record.fault("ignore_paths", "must list strings")
        return tuple(paths)


def _resources(predicate: Record) -> dict[str, bytes]:
    items = predicate.items("resources", longest=MOST_RESOURCES)
    pairs = [_resource(item) for item in items]
    names = [_order(name) for name, _digest in pairs]
    if any(first >= second for first, second in itertools.pairwise(names)):
        raise predicate.fault("resources", "must list each name once, in order")
    return dict(pairs)


def _resource(item: object) -> tuple[str, bytes]:
    with Record(item, "statement: resource") as record:
        record.choice("algorithm", {"sha256": None})
        return record.text("name", longest=4096), record.hexadecimal("digest", _DIGEST_BYTES)
