"""Every algorithm that modelkeep computes with: what for, by which library, and whether FIPS 140 approves it.

The bill of materials in the wheel (`tools/bill.py`) and `modelkeep doctor --fips` are made of this table.
"""

from __future__ import annotations

from dataclasses import dataclass

PYCA, HASHLIB, BLAKE3 = "cryptography", "hashlib", "blake3"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm in use.

    Attributes:
        name: its usual name.
        primitive: which kind it is, in CycloneDX's words.
        purpose: what it is used for.
        chosen: what chooses it: an option, a kind of key, or ``always``.
        library: which library computes it.
        standard: where it is specified.
        approved: whether FIPS 140-3 counts it among the approved ones.
        parameters: key size or parameter set, or empty.
        curve: its curve, or empty.
        functions: what is computed, in CycloneDX's words.
    """

    name: str
    primitive: str
    purpose: str
    chosen: str
    library: str
    standard: str
    approved: bool
    parameters: str = ""
    curve: str = ""
    functions: tuple[str, ...] = ()


_SIGN, _SEAL = ("sign", "verify"), ("encrypt", "decrypt")

ALGORITHMS = (
    Algorithm(
        "AES-256-GCM", "ae", "payloads, grants, guards of a site", "--suite aes (default)", PYCA,
        "SP 800-38D", True, "256", functions=_SEAL,
    ),
    Algorithm(
        "ChaCha20-Poly1305", "ae", "payloads", "--suite chacha", PYCA,
        "RFC 8439", False, "256", functions=_SEAL,
    ),
    Algorithm(
        "HKDF-SHA-256", "kdf", "keys of streams, grants and installations", "always", PYCA,
        "RFC 5869, SP 800-56C", True, functions=("keyderive",),
    ),
    Algorithm(
        "AES-256-KW", "other", "installations, grants of fleets and passphrases", "always", PYCA,
        "RFC 3394, SP 800-38F", True, "256", functions=_SEAL,
    ),
    Algorithm(
        "ECDH-P-256", "key-agree", "grants for devices (HPKE)", "kind p256 (default)", PYCA,
        "SP 800-56A", True, curve="nist/P-256", functions=("keygen", "keyderive"),
    ),
    Algorithm(
        "X25519", "key-agree", "grants for devices (HPKE)", "kinds x25519, mlkem768-x25519", PYCA,
        "RFC 7748", False, curve="other/Curve25519", functions=("keygen", "keyderive"),
    ),
    Algorithm(
        "ML-KEM-768", "kem", "grants for devices (HPKE), with X25519", "kind mlkem768-x25519", PYCA,
        "FIPS 203", True, "768", functions=("keygen", "encapsulate", "decapsulate"),
    ),
    Algorithm(
        "HPKE", "combiner", "grants for devices", "always", PYCA,
        "RFC 9180", False, functions=_SEAL,
    ),
    Algorithm(
        "ECDSA", "signature", "bundles, trust files, rosters, repositories", "kind signing", PYCA,
        "FIPS 186-5", True, "P-256, P-384 or P-521", functions=_SIGN,
    ),
    Algorithm(
        "ML-DSA-65", "signature", "second signatures of bundles", "--second-signer", PYCA,
        "FIPS 204", True, "65", functions=_SIGN,
    ),
    Algorithm(
        "scrypt", "kdf", "passphrases", "passphrase: keys, files with a passphrase", PYCA,
        "RFC 7914", False, functions=("keyderive",),
    ),
    Algorithm(
        "AES-256-CBC", "block-cipher", "key files with a passphrase", "?passphrase-file=", PYCA,
        "SP 800-38A", True, "256", functions=_SEAL,
    ),
    Algorithm(
        "RSA-PKCS1-1.5", "signature", "plain files, certificates", "verify, sign, posture", PYCA,
        "FIPS 186-5", True, "2048 and more", functions=_SIGN,
    ),
    Algorithm(
        "RSA-OAEP", "pke", "questions to TPMs with an RSA key", "posture ask", PYCA,
        "SP 800-56B", True, "2048 and more", functions=("encrypt",),
    ),
    Algorithm(
        "KDFa, KDFe", "kdf", "questions to TPMs", "posture ask", PYCA,
        "TPM 2.0 Library, part 1", True, functions=("keyderive",),
    ),
    Algorithm(
        "AES-CFB", "block-cipher", "questions to TPMs", "posture ask", PYCA,
        "SP 800-38A", True, "128 or 256", functions=("encrypt",),
    ),
    Algorithm(
        "HMAC-SHA-256", "mac", "what a device remembers", "install", HASHLIB,
        "FIPS 198-1", True, "256", functions=("tag", "verify"),
    ),
    Algorithm(
        "SHA-256", "hash", "files and manifests, fingerprints; leaves with --leaf sha256", "always", HASHLIB,
        "FIPS 180-4", True, "256", functions=("digest",),
    ),
    Algorithm(
        "BLAKE3", "hash", "leaves of payloads", "--leaf blake3 (default)", BLAKE3,
        "BLAKE3 1.0", False, "256", functions=("digest",),
    ),
)  # fmt: skip
