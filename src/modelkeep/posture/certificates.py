"""Certificates of those who make hardware and sign code, followed to a root that is pinned.

Their certificates use extensions and key types that the rules of the web know nothing of, so that the path is
followed here; signatures are checked by pyca. Source: RFC 5280 sections 4.2 and 6.1, without policies
and name constraints, which are refused where they are critical.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Collection, Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep.errors import ExpiredError, MalformedError, SignatureError, UntrustedSignerError

LARGEST_CERTIFICATE = 16_384
MOST_CERTIFICATES = 16

# What pyca raises for certificates that cannot be read, or not be used as they are.
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion)

_BROKEN_HASHES = (hashes.MD5, hashes.SHA1)
_LONGEST_PATH = 6
_LATEST = 253_402_300_799
_UNDERSTOOD = frozenset(
    extension.oid
    for extension in (
        x509.BasicConstraints,
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.SubjectAlternativeName,
    )
)


def parse(data: bytes, what: str) -> x509.Certificate:
    """Returns a certificate of which every part that is used later can be read.

    Raises:
        MalformedError: not a certificate in DER of at most 16 KiB.
    """
    if len(data) > LARGEST_CERTIFICATE:
        raise MalformedError(f"{what}: larger than {LARGEST_CERTIFICATE} bytes")
    try:
        certificate = x509.load_der_x509_certificate(data)
        _ = certificate.extensions, certificate.subject, certificate.issuer
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        fingerprint(certificate)
    except (*UNREADABLE, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise MalformedError(f"{what}: not a certificate that can be read", hint=str(error)[:200]) from None
    return certificate


def parse_all(encoded: Sequence[bytes], what: str) -> tuple[x509.Certificate, ...]:
    """Returns certificates, at most 16.

    Raises:
        MalformedError: none, too many, or one that cannot be read.
    """
    if not 1 <= len(encoded) <= MOST_CERTIFICATES:
        raise MalformedError(f"{what}: expected 1 to {MOST_CERTIFICATES} certificates, found {len(encoded)}")
    return tuple(parse(each, f"{what}: certificate {place}") for place, each in enumerate(encoded))


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Returns the SHA-256 of the certificate's public key (SubjectPublicKeyInfo in DER)."""
    key = certificate.public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def name_of(certificate: x509.Certificate) -> str:
    """Returns the subject in printable form."""
    return repr(certificate.subject.rfc4514_string()[:120])


def extension(certificate: x509.Certificate, dotted: str) -> bytes | None:
    """Returns the value of an extension that pyca does not know, or None."""
    for each in certificate.extensions:
        if each.oid.dotted_string == dotted:
            return bytes(each.value.public_bytes())
    return None


def check_signed(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Checks that one certificate's key signed another certificate, which names it.

    Raises:
        SignatureError: it did not, or with a hash that is broken.
    """
    try:
        certificate.verify_directly_issued_by(issuer)
        weak = isinstance(certificate.signature_hash_algorithm, _BROKEN_HASHES)
    except UNREADABLE:
        raise SignatureError(
            f"certificate {name_of(certificate)} is not issued by {name_of(issuer)}"
        ) from None
    if weak:
        raise SignatureError(f"certificate {name_of(certificate)} is signed over a hash that is broken")


def check_time(certificate: x509.Certificate, now: int) -> None:
    """Checks that a certificate counts at `now` (seconds since 1970-01-01 UTC).

    Raises:
        ExpiredError: it does not.
    """
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    moment = datetime.datetime.fromtimestamp(min(max(now, 0), _LATEST), datetime.UTC)
    if not begin <= moment <= end:
        raise ExpiredError(
            f"certificate {name_of(certificate)} is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, "
            f"not on {moment:%Y-%m-%d}"
        )


def constraints_of(certificate: x509.Certificate) -> x509.BasicConstraints:
    """Returns what a certificate says of issuing others; nothing said is no."""
    for each in certificate.extensions:
        if isinstance(each.value, x509.BasicConstraints):
            return each.value
    return x509.BasicConstraints(ca=False, path_length=None)


def path_to_root(
    leaf: x509.Certificate,
    others: Iterable[x509.Certificate],
    roots: Collection[x509.Certificate],
    now: int,
    *,
    understood: Collection[x509.ObjectIdentifier] = (),
) -> tuple[x509.Certificate, ...]:
    """Returns the certificates from `leaf` to one of `roots`.

    Args:
        leaf: whose path is looked for.
        others: what may lie between, in any order.
        roots: pinned; nothing of them but name and key is looked at.
        now: seconds since 1970-01-01 UTC.
        understood: critical extensions that the caller checks.

    Raises:
        UntrustedSignerError: no path to a root.
        ExpiredError: the leaf is outside its time.
        SignatureError: see `check_signed`.
    """
    check_time(leaf, now)
    _check_critical(leaf, understood)
    paths: list[tuple[x509.Certificate, ...]] = [(leaf,)]
    unseen = list(others)
    while paths:
        path = paths.pop()
        for root in roots:
            if _issued(path[-1], root):
                return (*path, root)
        issuers = [each for each in unseen if _may_issue(each, path, now, understood)]
        unseen = [each for each in unseen if each not in issuers]
        paths += [(*path, issuer) for issuer in issuers]
    raise UntrustedSignerError(
        f"certificate {name_of(leaf)} does not lead to a trusted root",
        hint="pass the root of the maker you expect, and the certificates between",
    )


def _may_issue(
    issuer: x509.Certificate,
    path: tuple[x509.Certificate, ...],
    now: int,
    understood: Collection[x509.ObjectIdentifier],
) -> bool:
    limits = constraints_of(issuer)
    longest = _LONGEST_PATH if limits.path_length is None else limits.path_length
    if not limits.ca or len(path) - 1 > longest or not _issued(path[-1], issuer):
        return False
    check_time(issuer, now)
    _check_critical(issuer, understood)
    return _may_sign_certificates(issuer)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        check_signed(certificate, issuer)
    except SignatureError:
        return False
    return True


def _may_sign_certificates(issuer: x509.Certificate) -> bool:
    usages = [each.value for each in issuer.extensions if isinstance(each.value, x509.KeyUsage)]
    return all(usage.key_cert_sign for usage in usages)


def _check_critical(certificate: x509.Certificate, understood: Collection[x509.ObjectIdentifier]) -> None:
    for each in certificate.extensions:
        if each.critical and each.oid not in _UNDERSTOOD and each.oid not in understood:
            raise UntrustedSignerError(
                f"certificate {name_of(certificate)} demands {each.oid.dotted_string}, not known here"
            )
