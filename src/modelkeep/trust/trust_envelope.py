"""The envelope of a trust file: a payload, and signatures that come one after the other.

Source: spec/trust-v1.md, "Form"; DSSE v1.0 (pre-authentication encoding).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, dsse, public_key
from modelkeep.errors import MalformedError, SignatureError, UsageError
from modelkeep.record import Record

PAYLOAD_TYPE = "application/vnd.modelkeep.trust.v1+json"
LARGEST_FILE = 2 * 2**20
MOST_SIGNATURES = 64

_FINGERPRINT_BYTES, _LARGEST_SIGNATURE = 32, 160


@dataclass(frozen=True, slots=True)
class TrustEnvelope:
    """A parsed envelope; nothing in it is verified.

    Attributes:
        payload: what is signed, exactly as it was received.
        signatures: pairs of a key's fingerprint, as claimed, and a DER-encoded ECDSA signature.
    """

    payload: bytes
    signatures: tuple[tuple[str, bytes], ...] = ()

    @staticmethod
    def from_bytes(data: bytes) -> TrustEnvelope:
        """Takes a file apart without trusting any of it.

        Raises:
            SignatureError: a document of another kind.
            MalformedError: not an envelope, or beyond its limits.
        """
        if len(data) > LARGEST_FILE:
            raise MalformedError(f"trust file: larger than {LARGEST_FILE} bytes")
        with Record(canonical.decode(data, "trust file"), "trust file") as record:
            if record.text("payloadType") != PAYLOAD_TYPE:
                raise SignatureError("the file is a document of another kind")
            payload = record.base64("payload", longest=LARGEST_FILE)
            signatures = tuple(map(_signature, record.items("signatures", longest=MOST_SIGNATURES)))
        return TrustEnvelope(payload, signatures)

    def to_bytes(self) -> bytes:
        """Returns the file.

        Raises:
            UsageError: it would be too large to be read again.
        """
        signatures = [{"key": name, "signature": _text(value)} for name, value in self.signatures]
        data = canonical.encode(
            {"payload": _text(self.payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures}
        )
        if len(self.signatures) > MOST_SIGNATURES or len(data) > LARGEST_FILE:
            raise UsageError(
                f"a trust file has at most {MOST_SIGNATURES} signatures and {LARGEST_FILE} bytes",
                hint="leave out publishers and bundles that are long forgotten",
            )
        return data

    def signed_by(self, keys: Mapping[str, ec.EllipticCurvePublicKey]) -> frozenset[str]:
        """Returns which of `keys` (by fingerprint) signed the payload."""
        return frozenset(
            name for name, value in self.signatures if name in keys and self._holds(keys[name], value)
        )

    def signed(self, signer: dsse.EcdsaSigner) -> TrustEnvelope:
        """Returns the envelope with the signature of `signer` besides; the same one if it has that already.

        Raises:
            SignatureError: the signer returned something that its own key does not verify.
            KeyStoreError: the signer's key cannot be used.
        """
        name = public_key.fingerprint(signer.public_key)
        if self.signed_by({name: signer.public_key}):
            return self
        signature = signer.sign(dsse.pae(PAYLOAD_TYPE, self.payload))
        # A faulty device or adapter shows here, and not on ten thousand devices.
        dsse.verify(signer.public_key, signature, PAYLOAD_TYPE, self.payload)
        # What claimed to be this key's and did not hold makes room for what does.
        others = tuple(each for each in self.signatures if each[0] != name)
        return replace(self, signatures=(*others, (name, signature)))

    def _holds(self, key: ec.EllipticCurvePublicKey, signature: bytes) -> bool:
        try:
            dsse.verify(key, signature, PAYLOAD_TYPE, self.payload)
        except SignatureError:
            return False
        return True


def _signature(item: object) -> tuple[str, bytes]:
    with Record(item, "trust file: signature") as record:
        name = record.hexadecimal("key", _FINGERPRINT_BYTES).hex()
        return name, record.base64("signature", longest=_LARGEST_SIGNATURE)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
