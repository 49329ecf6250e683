"""Who signed, as a value: what reports name, what policies compare, what devices remember.

Source: spec/trust-v1.md, "Who signed".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from modelkeep.errors import UsageError
from modelkeep.record import Record

FINGERPRINT_BYTES = 32
LONGEST_SUBJECT = 1024

# In the order in which a certificate's name is chosen from those that it has.
SUBJECT_KINDS = {"cn": "CN", "dns": "DNS", "email": "EMAIL", "uri": "URI", "dn": "DN"}


class TypedSubject(NamedTuple):
    """A name in a certificate, with its kind: a common name is nobody's DNS name.

    Attributes:
        kind: ``cn`` (common name), ``dns``, ``email``, ``uri``, or ``dn`` (the whole name, RFC 4514).
        value: the name; empty where the certificate's cannot be decoded.
    """

    kind: str
    value: str

    def __str__(self) -> str:
        if not self.value:
            return "an unreadable subject"
        return repr(f"{SUBJECT_KINDS[self.kind]}={self.value[:200]}")


@dataclass(frozen=True, slots=True)
class SignerId:
    """A signer whose signature was verified.

    Attributes:
        key: the fingerprint of the key that signed, 32 bytes.
        root: the fingerprint of the root's key, if a chain of certificates stands behind the key.
        subject: the name in the signing certificate, likewise.
    """

    key: bytes
    root: bytes | None = None
    subject: TypedSubject | None = None

    def __post_init__(self) -> None:
        if len(self.key) != FINGERPRINT_BYTES or (self.root is None) != (self.subject is None):
            raise UsageError("a signer is a key, with root and subject if it has certificates")

    def __str__(self) -> str:
        return f"key sha256:{self.key.hex()}" if self.subject is None else f"certificate {self.subject}"

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON object; root and subject are there for chains of certificates only."""
        members: dict[str, Any] = {"key": self.key.hex()}
        if self.root is not None and self.subject is not None:
            members["root"] = self.root.hex()
            members["subject"] = {"kind": self.subject.kind, "value": self.subject.value}
        return members

    @staticmethod
    def from_json(value: object, what: str = "signer") -> SignerId:
        """Reads the JSON object.

        Raises:
            MalformedError: not of this form.
        """
        with Record(value, what) as record:
            key = record.hexadecimal("key", FINGERPRINT_BYTES)
            if "root" not in record:
                return SignerId(key)
            root = record.hexadecimal("root", FINGERPRINT_BYTES)
            with record.object("subject") as subject:
                kind = subject.choice("kind", {name: name for name in SUBJECT_KINDS})
                return SignerId(key, root, TypedSubject(kind, subject.text("value", longest=LONGEST_SUBJECT)))
