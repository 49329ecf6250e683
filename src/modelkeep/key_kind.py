"""What a file is, in words, where a private key in PEM was asked for."""

from __future__ import annotations

import re

_KINDS = (
    (rb"OPENSSH PRIVATE KEY", "an SSH private key"),
    (rb"ssh-|ecdsa-sha2-|sk-(?:ssh|ecdsa)-", "an SSH public key"),
    (rb"PuTTY-User-Key-File", "a PuTTY key"),
    (rb"PGP ", "a PGP key"),
    (rb"CERTIFICATE REQUEST", "a certificate request"),
    (rb"(?:TRUSTED )?CERTIFICATE", "a certificate"),
    (rb"(?:RSA |EC )?PUBLIC KEY", "a public key"),
    (rb"hpke-", "a recipient's public key"),
    (rb"\x30[\x30-\x84]", "a file in DER form"),
)
_PATTERNS = tuple((re.compile(rb"\s*(?:-----BEGIN )?(?:%s)" % kind), words) for kind, words in _KINDS)
# Which curve a key is on stands in the key, too: `openssl ecparam -genkey` writes it in front, for nobody.
_PARAMETERS = re.compile(rb"-----BEGIN EC PARAMETERS-----[^-]+-----END EC PARAMETERS-----\r?\n?")


def other_kind(content: memoryview) -> str | None:
    """Returns what `content` is instead of a private key in PEM, or None where that cannot be told."""
    return next((words for pattern, words in _PATTERNS if pattern.match(content)), None)


def after_parameters(content: memoryview) -> memoryview:
    """Returns a PEM text without the block of curve parameters that it may begin with."""
    found = _PARAMETERS.match(content)
    return content if found is None else content[found.end() :]
