"""Writes the vectors of second signatures into vectors/v1/second.json."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from modelkeep import public_key
from modelkeep.trust import second_signature
from modelkeep.trust.second_signature import SecondSigner
from modelkeep.trust.statement import Statement

TARGET = Path(__file__).parent / "v1" / "second.json"


def main() -> None:
    """Makes a key, a statement, and documents that are in order and not."""
    signer, stranger = (SecondSigner(MLDSA65PrivateKey.generate()) for _ in range(2))
    statement = Statement("acme/detector", {"manifest.json": bytes(32)})
    other = Statement("acme/detector", {"manifest.json": bytes(31) + b"\1"})
    good = second_signature.sign(statement, signer).decode()
    empty = json.dumps(json.loads(good) | {"signature": ""}, separators=(",", ":"))
    cases = [
        ("good", good, None),
        ("missing", None, "SignatureError"),
        ("of another key", second_signature.sign(statement, stranger).decode(), "UntrustedSignerError"),
        ("over another statement", second_signature.sign(other, signer).decode(), "SignatureError"),
        ("of no length", empty, "SignatureError"),
        ("of another algorithm", good.replace("ml-dsa-65", "ml-dsa-44"), "MalformedError"),
        ("not canonical", f"{good} ", "MalformedError"),
    ]
    documents = [{"name": name, "document": document, "error": error} for name, document, error in cases]
    vectors = {
        "format": "modelkeep/second",
        "version": 1,
        "key": public_key.to_pem(signer.public_key).decode(),
        "payload": base64.b64encode(statement.to_bytes()).decode(),
        "documents": documents,
    }
    TARGET.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
