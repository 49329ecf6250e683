"""A grant: the data key wrapped for one recipient. Source: spec/grant-v1.md, "Form".

Canonical JSON of at most 8192 bytes with ``header`` (base64 of the exact header bytes) and
``wrapped`` (base64), and either both or neither of ``issuer`` (fingerprint of the issuer's
key: hex SHA-256 of its PEM form) and ``signature`` (base64 of ECDSA in DER over the DSSE encoding
of the canonical JSON of ``header`` and ``wrapped`` alone).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, dsse, public_key
from modelkeep.errors import (
    MalformedError,
    SignatureError,
    UnsupportedVersionError,
    UntrustedSignerError,
)
from modelkeep.grants.header import PASSPHRASE, GrantHeader, binding
from modelkeep.record import Record

LARGEST_GRANT = 8192
PAYLOAD_TYPE = "application/vnd.modelkeep.grant.v1+json"
_NONE: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Grant:
    """A wrapped data key with its header.

    Attributes:
        header: the parsed header.
        header_bytes: the header exactly as it is bound into `wrapped`.
        wrapped: the encrypted grant secret; its form depends on `header.type`.
        issuer: the 32 bytes of the issuer's fingerprint, or None when unsigned.
        signature: the issuer's signature, or None when unsigned.
        received: the very bytes it was parsed from, or None when it was made here.
    """

    header: GrantHeader
    header_bytes: bytes = field(repr=False)
    wrapped: bytes = field(repr=False)
    issuer: bytes | None = field(default=None, repr=False)
    signature: bytes | None = field(default=None, repr=False)
    received: bytes | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parses a grant. Nothing in it is authentic before its wrapped key has been opened.

        Raises:
            MalformedError: not a grant.
            UnsupportedVersionError: written by a newer modelkeep.
        """
        if len(data) > LARGEST_GRANT:
            raise MalformedError(f"grant: larger than {LARGEST_GRANT} bytes")
        with Record(canonical.decode(data, "grant"), "grant") as record:
            header_bytes = record.base64("header", longest=LARGEST_GRANT)
            wrapped = record.base64("wrapped", longest=LARGEST_GRANT)
            issuer, signature = _signature(record)
        return cls(GrantHeader.from_bytes(header_bytes), header_bytes, wrapped, issuer, signature, data)

    def to_bytes(self) -> bytes:
        """Returns the encoding; for a parsed grant the very bytes it was parsed from.

        Raises:
            MalformedError: the grant would exceed 8192 bytes.
        """
        if self.received is not None:
            return self.received
        data = self._encoded()
        if len(data) > LARGEST_GRANT:
            raise MalformedError(f"grant: larger than {LARGEST_GRANT} bytes")
        return data

    @property
    def binding(self) -> bytes:
        """The 32 bytes that tie `wrapped` to the exact header bytes."""
        return binding(self.header_bytes)

    def signed_by(self, signer: dsse.EcdsaSigner, issuer: bytes | None = None) -> Grant:
        """Returns the same grant with the signature of `signer` as its issuer.

        Args:
            signer: signs it.
            issuer: the fingerprint of its key (32 bytes), where it is known already.
        """
        signature = signer.sign(dsse.pae(PAYLOAD_TYPE, self._signed_bytes()))
        issuer = issuer or bytes.fromhex(public_key.fingerprint(signer.public_key))
        return Grant(self.header, self.header_bytes, self.wrapped, issuer, signature)

    def check_issuer(self, issuers: tuple[bytes, ...], revoked: frozenset[str] = frozenset()) -> None:
        """Checks the issuer's signature; for bundles whose manifest lists grant issuers.

        Args:
            issuers: SubjectPublicKeyInfo (DER) of those who may sign grants.
            revoked: fingerprints of keys that count nowhere any more.

        Raises:
            SignatureError: the grant is not signed, or its signature does not verify.
            UntrustedSignerError: signed by somebody who is not listed, or with a key that is revoked.
            MalformedError: the issuer's listed key is not an elliptic-curve public key.
        """
        if self.issuer is None or self.signature is None:
            raise SignatureError(
                "the grant is not signed, and this bundle accepts grants of listed issuers only",
                hint="ask the publisher for a signed grant",
            )
        if self.issuer.hex() in revoked:
            raise UntrustedSignerError(
                f"the grant's issuer {self.issuer.hex()[:16]} is revoked",
                hint="ask for a grant of another issuer",
            )
        listed = {public_key.fingerprint(key): key for key in map(issuer_key, issuers)}
        issuer = listed.get(self.issuer.hex())
        if issuer is None:
            raise UntrustedSignerError(
                f"the grant's issuer {self.issuer.hex()[:16]} is not one that this bundle lists",
                hint="ask the publisher which issuers may grant this model",
            )
        dsse.verify(issuer, self.signature, PAYLOAD_TYPE, self._signed_bytes())

    def _encoded(self) -> bytes:
        if self.issuer is None or self.signature is None:
            return self._signed_bytes()
        members = {
            "header": base64.b64encode(self.header_bytes).decode(),
            "issuer": self.issuer.hex(),
            "signature": base64.b64encode(self.signature).decode(),
            "wrapped": base64.b64encode(self.wrapped).decode(),
        }
        return canonical.encode(members)

    def _signed_bytes(self) -> bytes:
        return encode_unsigned(self.header_bytes, self.wrapped)


def encode_unsigned(header_bytes: bytes, wrapped: bytes) -> bytes:
    """Returns the encoding of a grant that nobody signs: canonical JSON, since base64 needs no escapes."""
    header, key = base64.b64encode(header_bytes), base64.b64encode(wrapped)
    return b'{"header":"%b","wrapped":"%b"}' % (header, key)


def parse_all(encoded: Iterable[bytes]) -> Iterator[Grant]:
    """Yields the grants of one set; one that is too new must not lock out the holders of others.

    Raises:
        MalformedError: one of them is not a grant; the message says which, counting from 1.
        UnsupportedVersionError: after all others, if one was made by a newer modelkeep.
    """
    too_new: UnsupportedVersionError | None = None
    for number, data in enumerate(encoded, start=1):
        try:
            yield Grant.from_bytes(data)
        except UnsupportedVersionError as error:
            too_new = too_new or UnsupportedVersionError(f"grant {number}: {error}", hint=error.hint)
        except MalformedError as error:
            raise MalformedError(f"grant {number}: {error}", hint=error.hint) from None
    if too_new is not None:
        raise too_new


def standing_alone(grants: Iterable[Grant], passed_over: Mapping[str, int] = _NONE) -> Iterator[Grant]:
    """Yields the grants of one set, refusing a passphrase grant that is not the only one.

    `passed_over` counts the grants that were left out of `grants`, as far as these were read.

    Who opens a bundle with a passphrase may take it that it came from somebody who knows the
    passphrase; beside other grants that would be false. It also bounds the work of scrypt to one run.

    Raises:
        MalformedError: a passphrase grant has company.
    """
    iterator = iter(grants)
    for index, grant in enumerate(iterator):
        # Looking one ahead happens for a passphrase grant only; other sets stay fully streamed.
        if grant.header.type == PASSPHRASE and (index > 0 or next(iterator, None) or passed_over):
            raise MalformedError(
                "a passphrase grant must be the only grant of its bundle",
                hint="seal for a passphrase or for devices, not for both",
            )
        yield grant


def _signature(record: Record) -> tuple[bytes | None, bytes | None]:
    if "issuer" not in record:
        return None, None
    return record.hexadecimal("issuer", public_key.FINGERPRINT_BYTES), record.base64("signature", longest=256)


def issuer_key(public_der: bytes) -> ec.EllipticCurvePublicKey:
    """Returns the key of an issuer as a manifest lists it, SubjectPublicKeyInfo in DER.

    Raises:
        MalformedError: not an elliptic-curve public key.
    """
    try:
        key = serialization.load_der_public_key(public_der)
    except (ValueError, UnsupportedAlgorithm):
        raise MalformedError("a listed grant issuer is not a public key") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise MalformedError("a listed grant issuer is not an elliptic-curve key")
    return key
