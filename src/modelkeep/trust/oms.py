"""The signature document of OpenSSF Model Signing: a Sigstore bundle around a DSSE envelope.

Source: OpenSSF Model Signing specification 1.0; Sigstore bundle v0.3; DSSE v1.0.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding

from modelkeep import canonical, dsse, public_key
from modelkeep.errors import MalformedError, SignatureError, UsageError
from modelkeep.record import Record
from modelkeep.trust.signer import BundleSigner, DocumentSigner
from modelkeep.trust.statement import Statement
from modelkeep.trust.timestamps import LARGEST_TIMESTAMP, Stamp

if TYPE_CHECKING:
    from cryptography import x509

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
# Parsed before anything is verified, and in Python objects 30 times as large; the statement about
# the largest manifest takes half of it.
LARGEST_DOCUMENT = 8 * 2**20
MOST_CERTIFICATES = 16
MOST_TIMESTAMPS = 4
LARGEST_CERTIFICATE = 2**16
LARGEST_SIGNATURE = 1024

# Longest DER encoding of an ECDSA signature: two integers below the group order.
_LONGEST_SIGNATURE = {"secp256r1": 72, "secp384r1": 104, "secp521r1": 139}


class OmsBundle(NamedTuple):
    """A parsed signature document; nothing in it is verified yet.

    Attributes:
        payload: the signed statement, exactly as received.
        signature: DER-encoded ECDSA signature.
        hint: claims which key signed; None when it does not say.
        certificates: claimed certificates, leaf first; empty for a bare key.
        timestamps: what authorities are claimed to have said of the signature, TimeStampResps in DER.
        by_identity: Sigstore is claimed to vouch for the key.
    """

    payload: bytes
    signature: bytes
    hint: str | None
    certificates: tuple[x509.Certificate, ...]
    timestamps: tuple[bytes, ...] = ()
    by_identity: bool = False


def sign(statement: Statement, signer: BundleSigner, stamp: Stamp | None = None) -> bytes:
    """Returns the signature document for `statement` as canonical JSON.

    Args:
        statement: what is signed.
        signer: who signs.
        stamp: returns a timestamp for a signature; None for a document without.

    Raises:
        UnavailableError: the authority of time cannot be reached.
        SignatureError: the signer returned something that its own key does not verify.
        UsageError: the key's curve is not supported.
    """
    payload = statement.to_bytes()
    if isinstance(signer, DocumentSigner):
        return signer.sign_document(payload)
    signature = signer.sign(dsse.pae(PAYLOAD_TYPE, payload))
    # A faulty device or adapter shows here, at the publisher, and not on ten thousand devices.
    dsse.verify(signer.public_key, signature, PAYLOAD_TYPE, payload)
    return _encode(payload, signature, signer, None if stamp is None else stamp(signature))


def signature_size(statement: Statement, signer: BundleSigner, *, stamped: bool = False) -> int:
    """Returns the most bytes that `sign` can need; digests in `statement` may still be placeholders."""
    if isinstance(signer, DocumentSigner):
        return signer.document_size(statement.to_bytes())
    dsse.ecdsa_for(signer.public_key)
    longest = _LONGEST_SIGNATURE[signer.public_key.curve.name]
    timestamp = bytes(LARGEST_TIMESTAMP) if stamped else None
    return len(_encode(statement.to_bytes(), bytes(longest), signer, timestamp))


def pad(document: bytes, size: int) -> bytes:
    """Returns `document` with trailing spaces up to `size` bytes.

    Raises:
        UsageError: it is longer than `size` already.
    """
    if len(document) > size:
        raise UsageError(f"the signature takes {len(document)} bytes, only {size} are reserved for it")
    return document.ljust(size)


def parse(document: bytes) -> OmsBundle:
    """Takes a signature document apart without trusting any of it.

    Raises:
        MalformedError: not such a document, or beyond its limits.
        SignatureError: signed in a way that this version does not verify.
    """
    if len(document) > LARGEST_DOCUMENT:
        raise MalformedError("signature: larger than 8 MiB")
    with Record(canonical.decode_lenient(document, "signature"), "signature") as record:
        record.choice("mediaType", {MEDIA_TYPE: None})
        with record.object("verificationMaterial") as material:
            by_identity = "certificate" in material
            timestamps = _timestamps(material)
            hint, certificates = _material(material)
        with record.object("dsseEnvelope") as envelope:
            payload, signature = _envelope(envelope)
    return OmsBundle(payload, signature, hint, certificates, timestamps, by_identity)


def _encode(payload: bytes, signature: bytes, signer: BundleSigner, timestamp: bytes | None) -> bytes:
    return canonical.encode(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": _material_for(signer) | _stamped(timestamp) | {"tlogEntries": []},
            "dsseEnvelope": {
                "payload": _base64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": _base64(signature), "keyid": ""}],
            },
        }
    )


def _material_for(signer: BundleSigner) -> dict[str, Any]:
    if not signer.certificates:
        return {"publicKey": {"hint": public_key.fingerprint(signer.public_key)}}
    chain = [
        {"rawBytes": _base64(certificate.public_bytes(Encoding.DER))} for certificate in signer.certificates
    ]
    return {"x509CertificateChain": {"certificates": chain}}


def _stamped(timestamp: bytes | None) -> dict[str, Any]:
    if timestamp is None:
        return {}
    return {"timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": _base64(timestamp)}]}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _material(material: Record) -> tuple[str | None, tuple[x509.Certificate, ...]]:
    # Transparency log entries prove nothing but of identities, where Sigstore's library reads them.
    _skip(material, "tlogEntries")
    if "certificate" in material:
        _skip(material, "certificate")
        return None, ()
    if "x509CertificateChain" in material:
        return None, _chain(material)
    with material.object("publicKey") as key:
        # Signatures from before model_signing 1.0.1 carry the key itself instead of a hint.
        _skip(key, "rawBytes", "keyDetails")
        return _hint(key), ()


def _timestamps(material: Record) -> tuple[bytes, ...]:
    if "timestampVerificationData" not in material:
        return ()
    with material.object("timestampVerificationData") as data:
        if "rfc3161Timestamps" not in data:
            return ()
        return tuple(map(_timestamp, data.items("rfc3161Timestamps", longest=MOST_TIMESTAMPS)))


def _timestamp(item: object) -> bytes:
    with Record(item, "signature: timestamp") as record:
        return record.base64("signedTimestamp", longest=LARGEST_TIMESTAMP)


def _hint(key: Record) -> str | None:
    if "hint" not in key:
        return None
    hint = key.anything("hint")
    if hint is not None and (not isinstance(hint, str) or len(hint) > 128 or not hint.isprintable()):
        raise key.fault("hint", "must be a short printable string or null")
    return hint or None


def _chain(material: Record) -> tuple[x509.Certificate, ...]:
    with material.object("x509CertificateChain") as chain:
        items = chain.items("certificates", longest=MOST_CERTIFICATES)
        if not items:
            raise chain.fault("certificates", "must not be empty")
        return tuple(_certificate(item) for item in items)


def _certificate(item: object) -> x509.Certificate:
    with Record(item, "signature: certificate") as record:
        data = record.base64("rawBytes", longest=LARGEST_CERTIFICATE)
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(data)
    except (ValueError, x509.InvalidVersion):
        raise MalformedError("signature: not an X.509 certificate in DER form") from None


def _envelope(envelope: Record) -> tuple[bytes, bytes]:
    envelope.choice("payloadType", {PAYLOAD_TYPE: None})
    payload = envelope.base64("payload", longest=LARGEST_DOCUMENT)
    signatures = envelope.items("signatures", longest=1)
    if not signatures:
        raise SignatureError("the signature document holds no signature")
    with Record(signatures[0], "signature: envelope") as record:
        _skip(record, "keyid")
        return payload, record.base64("sig", longest=LARGEST_SIGNATURE)


def _skip(record: Record, *names: str) -> None:
    for name in names:
        if name in record:
            record.anything(name)
