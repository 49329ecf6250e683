"""Signatures in CMS form, with asn1crypto to read them and pyca to verify. Source: RFC 5652; RFC 3161."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from modelkeep.errors import MalformedError, RuntimeMissingError, SignatureError
from modelkeep.posture import certificates

CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
TIMESTAMP = "1.2.840.113549.1.9.16.2.14"

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
# What asn1crypto raises for what is not in form, and it looks at many things only when they are asked for.
_NOT_IN_FORM = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SignedData:
    """One signature.

    Attributes:
        certificates: all that came along.
        leaf: the signer's.
        content: what is signed, if it is enclosed.
        content_type: what it is, dotted.
        algorithm: hash of the content and of the attributes.
        attributes: what is signed along with it: values in DER by dotted name.
        signed: the attributes as they are signed.
        signature: over them.
        timestamp: an RFC 3161 token about the signature; empty without.
    """

    certificates: tuple[x509.Certificate, ...]
    leaf: x509.Certificate
    content: bytes
    content_type: str
    algorithm: str
    attributes: Mapping[str, tuple[bytes, ...]]
    signed: bytes
    signature: bytes
    timestamp: bytes

    def check(self, content: bytes, *, hashes_allowed: frozenset[str]) -> None:
        """Checks that the leaf's key signed `content`.

        Raises:
            SignatureError: it did not, or over a hash that does not count.
        """
        if self.algorithm not in hashes_allowed:
            raise SignatureError("signed over a hash that does not count any more")
        expected = self.attributes.get(MESSAGE_DIGEST, ())
        digest = hashlib.new(self.algorithm, content).digest()
        if len(expected) != 1 or not hmac.compare_digest(octets(expected[0]), digest):
            raise SignatureError("the signature is over something else")
        self._verify()

    def _verify(self) -> None:
        key, algorithm = self.leaf.public_key(), _HASHES[self.algorithm]()
        try:
            if isinstance(key, rsa.RSAPublicKey):
                return key.verify(self.signature, self.signed, padding.PKCS1v15(), algorithm)
            if isinstance(key, ec.EllipticCurvePublicKey):
                return key.verify(self.signature, self.signed, ec.ECDSA(algorithm))
        except InvalidSignature:
            raise SignatureError("the signature does not verify") from None
        raise SignatureError("signed with a key of a kind that is not known here")


def parse(data: bytes) -> SignedData:
    """Reads a signature with one signer.

    Raises:
        MalformedError: not one.
        RuntimeMissingError: asn1crypto is not installed.
    """
    return _in_form(partial(_parse, data))


def token_info(signed: SignedData) -> tuple[str, bytes, int]:
    """Returns what a timestamp is about: hash, digest, and seconds since 1970-01-01 UTC.

    Raises:
        MalformedError: not a timestamp.
    """
    return _in_form(partial(_token_info, signed.content))


def _parse(data: bytes) -> SignedData:
    cms = _library("cms")
    info = cms.ContentInfo.load(data)
    if info["content_type"].native != "signed_data":
        raise ValueError
    content = info["content"]
    (signer,) = content["signer_infos"]
    found = certificates.parse_all([each.chosen.dump() for each in content["certificates"]], "code signature")
    enclosed = content["encap_content_info"]
    attributes = _attributes(signer["signed_attrs"])
    kind = enclosed["content_type"].dotted
    if attributes.get(CONTENT_TYPE) != (enclosed["content_type"].dump(),):
        raise ValueError
    return SignedData(
        certificates=found,
        leaf=_leaf(signer["sid"], found),
        content=bytes(enclosed["content"]) if enclosed["content"].native is not None else b"",
        content_type=kind,
        algorithm=signer["digest_algorithm"]["algorithm"].native,
        attributes=attributes,
        # Signed as a SET, sent under another tag.
        signed=b"\x31" + signer["signed_attrs"].dump()[1:],
        signature=signer["signature"].native,
        timestamp=b"".join(_attributes(signer["unsigned_attrs"]).get(TIMESTAMP, ())),
    )


def _attributes(attributes: Any) -> dict[str, tuple[bytes, ...]]:
    if not attributes.native:
        return {}
    found = {each["type"].dotted: tuple(value.dump() for value in each["values"]) for each in attributes}
    if len(found) != len(attributes):
        raise ValueError
    return found


def _leaf(sid: Any, found: tuple[x509.Certificate, ...]) -> x509.Certificate:
    if sid.name != "issuer_and_serial_number":
        raise ValueError
    issuer, serial = sid.chosen["issuer"].dump(), sid.chosen["serial_number"].native
    fitting = [
        each for each in found if each.serial_number == serial and each.issuer.public_bytes() == issuer
    ]
    return fitting[0]


def _token_info(content: bytes) -> tuple[str, bytes, int]:
    info = _library("tsp").TSTInfo.load(content)
    imprint = info["message_imprint"]
    return (
        imprint["hash_algorithm"]["algorithm"].native,
        imprint["hashed_message"].native,
        int(info["gen_time"].native.timestamp()),
    )


def octets(value: bytes) -> bytes:
    """Returns the bytes of an OCTET STRING in DER."""
    return _in_form(lambda: bytes(_library("core").OctetString.load(value).native))


def _in_form(read: Callable[[], _T]) -> _T:
    try:
        return read()
    except _NOT_IN_FORM:
        raise MalformedError("code signature: its CMS part is not in form") from None


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"asn1crypto.{name}")
    except ImportError:
        raise RuntimeMissingError(
            "asn1crypto is not installed", hint="pip install 'modelkeep[apple]'"
        ) from None
