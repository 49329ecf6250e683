"""A signed statement about a file: one publisher, one signature.

Source: spec/posture-v1.md section 10; DSSE v1.0.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, dsse, public_key
from modelkeep.dsse import EcdsaSigner
from modelkeep.errors import MalformedError, SignatureError
from modelkeep.record import Record

LARGEST_FILE = 8192
PAYLOAD_TYPE = "application/vnd.modelkeep.verity.v1+json"

_FINGERPRINT_BYTES, _LARGEST_SIGNATURE = 32, 160


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A parsed document; nothing in it is verified.

    Attributes:
        payload: what is signed, exactly as it was received.
        key: fingerprint of the key that signed it, as claimed.
        signature: ECDSA in DER.
    """

    payload: bytes
    key: str
    signature: bytes

    @staticmethod
    def sign(payload: bytes, signer: EcdsaSigner) -> SignedStatement:
        """Returns the document in which `signer` says `payload`.

        Raises:
            KeyStoreError: the signer's key cannot be used.
        """
        signature = signer.sign(dsse.pae(PAYLOAD_TYPE, payload))
        return SignedStatement(payload, public_key.fingerprint(signer.public_key), signature)

    def to_bytes(self) -> bytes:
        """Returns the document."""
        return canonical.encode(
            {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "key": self.key,
                "signature": base64.b64encode(self.signature).decode(),
            }
        )

    @staticmethod
    def from_bytes(data: bytes) -> SignedStatement:
        """Reads the document.

        Raises:
            SignatureError: a document of another kind.
            MalformedError: not such a document.
        """
        if len(data) > LARGEST_FILE:
            raise MalformedError(f"verity statement: larger than {LARGEST_FILE} bytes")
        with Record(canonical.decode(data, "verity statement"), "verity statement") as record:
            if record.text("payloadType") != PAYLOAD_TYPE:
                raise SignatureError("the file is a document of another kind")
            return SignedStatement(
                record.base64("payload", longest=LARGEST_FILE),
                record.hexadecimal("key", _FINGERPRINT_BYTES).hex(),
                record.base64("signature", longest=_LARGEST_SIGNATURE),
            )

    def check(self, trusted: Sequence[ec.EllipticCurvePublicKey]) -> None:
        """Checks that one of `trusted` signed it.

        Raises:
            SignatureError: none did.
        """
        # The claimed fingerprint only chooses among keys that are trusted anyway.
        keys = {public_key.fingerprint(key): key for key in trusted}
        if self.key not in keys:
            raise SignatureError("the verity statement is not signed by a key that is trusted here")
        dsse.verify(keys[self.key], self.signature, PAYLOAD_TYPE, self.payload)
