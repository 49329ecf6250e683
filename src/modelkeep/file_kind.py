"""What a file is, in words, where something else was asked for; by how it begins."""

from __future__ import annotations

import re
from functools import cache

A_LINE = "a device's public line"
_PUBLIC_KINDS = (
    (rb"hpke-", A_LINE),
    (rb"ssh-|ecdsa-sha2-|sk-(?:ssh|ecdsa)-", "an SSH public key"),
    (rb"CERTIFICATE REQUEST", "a certificate request"),
    (rb"(?:TRUSTED )?CERTIFICATE", "a certificate"),
    (rb"(?:RSA |EC )?PUBLIC KEY", "a public key"),
)
_OTHER_KINDS = (
    (rb"OPENSSH PRIVATE KEY", "an SSH private key"),
    (rb"PuTTY-User-Key-File", "a PuTTY key"),
    (rb"PGP ", "a PGP key"),
    (rb"\x30[\x30-\x84]", "a file in DER form"),
)
_PRIVATE = rb"(?:ENCRYPTED |RSA |EC )?PRIVATE KEY|modelkeep purpose: "
_NOT_LINES = ((_PRIVATE, "a private key"), (rb"\{", "a JSON document"))

Kinds = tuple[tuple[bytes, str | None], ...]

# How the keys begin that are made here. No expression is compiled for them: each takes two tenths of a
# millisecond, in every opening.
_OWN_HEADS = (b"modelkeep purpose: ", b"-----BEGIN PRIVATE KEY-----")
_NOT_PRIVATE: Kinds = ((_PRIVATE, None), *_PUBLIC_KINDS, *_OTHER_KINDS)
_NOT_RECIPIENT: Kinds = (*_PUBLIC_KINDS, *_OTHER_KINDS, *_NOT_LINES)
# Which curve a key is on stands in the key, too: `openssl ecparam -genkey` writes it in front, for nobody.
_PARAMETERS = re.compile(rb"-----BEGIN EC PARAMETERS-----[^-]+-----END EC PARAMETERS-----\r?\n?")


def not_private(content: memoryview) -> str | None:
    """Returns what `content` is instead of a private key in PEM, or None where that cannot be told."""
    if any(content[: len(head)] == head for head in _OWN_HEADS):
        return None
    return _found(_NOT_PRIVATE, content)


def public_kind(content: memoryview) -> str | None:
    """Returns what of public things `content` is, or None where it may hold a secret."""
    return _found(_PUBLIC_KINDS, content)


def not_recipient(content: bytes) -> str | None:
    """Returns what `content` is instead of a recipient's line, or None where that cannot be told."""
    return _found(_NOT_RECIPIENT, content)


def after_parameters(content: memoryview) -> memoryview:
    """Returns a PEM text without the block of curve parameters that it may begin with."""
    found = _PARAMETERS.match(content)
    return content if found is None else content[found.end() :]


def _found(kinds: Kinds, content: bytes | memoryview) -> str | None:
    return next((words for kind, words in kinds if _pattern(kind).match(content)), None)


@cache
def _pattern(kind: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\s*(?:-----BEGIN )?(?:%s)" % kind)
