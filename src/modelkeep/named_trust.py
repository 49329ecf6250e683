"""Whom to trust, by the names of files: as people type them, and as settings have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelkeep import public_key
from modelkeep.errors import UsageError
from modelkeep.storage import named, read_small
from modelkeep.trust.certificate_roots import CertificateRoots, load_certificates
from modelkeep.trust.envelope import LARGEST_FILE as LARGEST_TRUST_FILE
from modelkeep.trust.roots import Roots

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_LARGEST_PEM = 2**20
_ANYBODY = "any"


def trusted(paths: Sequence[str], subject: str | None) -> list[bytes | CertificateRoots]:
    """Returns the key in each file, or the roots in it for certificates of `subject`.

    Raises:
        StorageError: cannot be read.
        UsageError: neither a key nor a root, a root without a subject, or a subject without a root.
    """
    found = [_trusted_at(path, subject) for path in paths]
    if not any(isinstance(each, CertificateRoots) for each in found):
        refuse_subject(subject, "keys that are trusted have none")
    return found


def refuse_subject(subject: str | None, why: str) -> None:
    """Refuses to be told whose certificate counts where that would count for nothing.

    Raises:
        UsageError: there is a subject.
    """
    if subject is not None:
        raise UsageError(
            f"whose certificate counts goes with a root certificate: {why}", hint="leave the subject out"
        )


def _trusted_at(path: str, subject: str | None) -> bytes | CertificateRoots:
    with named(path):
        return _trusted(path, read_small(path, _LARGEST_PEM, "a public key or certificate"), subject)


def _trusted(path: str, pem: bytes, subject: str | None) -> bytes | CertificateRoots:
    blocks, certificates = pem.count(b"-----BEGIN "), pem.count(b"-----BEGIN CERTIFICATE-----")
    if blocks > max(certificates, 1):
        raise UsageError(f"{path}: holds {blocks} keys", hint="put each into a file, and pass -t for each")
    if not certificates:
        public_key.load(pem)
        return pem
    if subject is None:
        raise UsageError(
            f"{path} is an authority, which gives certificates to others as well",
            hint="say whose counts: --subject CN=NAME or EMAIL=ADDRESS; --subject any accepts everybody's",
        )
    return CertificateRoots(pem, subject=None if subject == _ANYBODY else subject)


def roots_in(paths: Sequence[str], threshold: int) -> Roots:
    """Returns who signs trust files: the keys in these files, or the roots document.

    Raises:
        UsageError: no keys, a threshold that cannot be reached, or a document beside something else.
        StorageError: a file cannot be read.
        SignatureError, MalformedError: the document does not hold.
    """
    found = [read_small(path, LARGEST_TRUST_FILE, "a root") for path in paths]
    if not any(data.lstrip().startswith(b"{") for data in found):
        return Roots.of_keys([_root(*each) for each in zip(paths, found, strict=True)], threshold)
    if len(found) > 1 or threshold != 1:
        raise UsageError("a roots document names all roots and their threshold", hint="pass it alone")
    with named(paths[0]):
        return Roots.of_document(found[0])


def _root(path: str, pem: bytes) -> ec.EllipticCurvePublicKey:
    with named(path):
        return public_key.load(pem)


def trust_file_in(paths: Sequence[str]) -> bytes:
    """Returns the bytes of the trust file.

    Raises:
        UsageError: there are several, or none.
        StorageError: it cannot be read.
    """
    if len(paths) != 1:
        raise UsageError("there is one trust file", hint="pass it with -t, and its signers with --trust-root")
    return read_small(paths[0], LARGEST_TRUST_FILE, "a trust file")


def authorities_in(paths: Sequence[str]) -> tuple[x509.Certificate, ...] | None:
    """Returns whose timestamps count, or None where nobody is named; raises what `load_certificates` does."""
    return tuple(each for path in paths for each in load_certificates(path)) or None
