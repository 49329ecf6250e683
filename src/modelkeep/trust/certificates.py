"""Certificate chains of signers, checked against roots that the verifier brings along.

Source: RFC 5280; path building and validation are those of cryptography.x509.verification.
"""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from modelkeep import dsse, storage
from modelkeep.errors import ExpiredError, SignatureError, UntrustedSignerError, UsageError
from modelkeep.signer_id import LONGEST_SUBJECT, SUBJECT_KINDS, SignerId, TypedSubject

LARGEST_FILE = 2**22

CertificateSource = bytes | str | os.PathLike[str] | Iterable[x509.Certificate]

_ANY = Criticality.AGNOSTIC
# What cryptography.x509 raises while it looks at a certificate that somebody may have made to annoy.
_UNFIT = (
    VerificationError,
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_SIGNS = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
_END_OF_CALENDAR = int(datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC).timestamp())


def load(source: CertificateSource) -> tuple[x509.Certificate, ...]:
    """Returns certificates given as PEM bytes, as path of a PEM file, or ready made.

    Raises:
        StorageError: the file cannot be read.
        UsageError: no certificate in it.
    """
    if isinstance(source, str | os.PathLike):
        source = storage.read_small(source, LARGEST_FILE, "certificates")
    if isinstance(source, bytes):
        source = _parse(source)
    certificates = tuple(source)
    if not certificates or not all(isinstance(item, x509.Certificate) for item in certificates):
        raise UsageError("expected at least one X.509 certificate")
    return certificates


class CertificateRoots:
    """Certificate authorities whose certificates may sign models.

    The signing certificate must be one for signing code: its extended key usages have codeSigning, and so
    have those of every authority between it and the root that states any; a key usage, where it states
    one, has digitalSignature.
    """

    def __init__(
        self,
        roots: CertificateSource,
        *,
        subject: str | TypedSubject | None = None,
        time: datetime.datetime | None = None,
        revoked_serials: frozenset[int] = frozenset(),
        revoked_keys: Iterable[str] = (),
    ) -> None:
        """Takes the roots and what else a chain must fulfil.

        Args:
            roots: self-signed or intermediate authorities: PEM bytes, path of a PEM file, or certificates.
            subject: a name that the signing certificate must carry, with its kind: ``CN=acme models``,
                ``EMAIL=models@acme.example``, ``DNS=``, ``URI=`` or ``DN=`` (RFC 4514). None accepts everyone
                to whom the authorities gave a certificate for signing code.
            time: moment (with time zone) at which the chain must be valid; None means the
                verifier's present time. It is never taken from the signature.
            revoked_serials: serial numbers that no certificate of the chain may have.
            revoked_keys: fingerprints (hexadecimal) of keys that no certificate of the chain may have.
                A stolen key belongs here, too: what a device remembers of it counts until then.

        Raises:
            StorageError: the file cannot be read.
            UsageError: no certificate, a time without time zone, or a subject without its kind.
        """
        if time is not None and time.tzinfo is None:
            raise UsageError("the time to check certificates at needs a time zone")
        anchors = load(roots)
        self._store = Store(list(anchors))
        self._anchors = frozenset(_fingerprint(anchor) for anchor in anchors)
        self._subject = _wanted(subject)
        self._time = time
        self._revoked_serials = frozenset(revoked_serials)
        self._revoked_keys = frozenset(map(bytes.fromhex, revoked_keys))

    def check(self, certificates: Sequence[x509.Certificate], now: int) -> SignerId:
        """Accepts a chain (leaf first) and returns who its leaf is, or says why not.

        Args:
            certificates: the signing certificate and whatever else came with it.
            now: seconds since 1970-01-01 UTC; used unless a time was fixed.

        Raises:
            ExpiredError: the signing certificate is outside its time.
            UntrustedSignerError: no valid path to a root, revoked, or another subject.
        """
        leaf, *others = certificates
        time = self._time or datetime.datetime.fromtimestamp(min(now, _END_OF_CALENDAR), datetime.UTC)
        chain = self._path(leaf, others, time)
        if any(self._is_revoked(certificate) for certificate in chain):
            raise UntrustedSignerError(f"certificate of {name_of(leaf)} is revoked")
        names = _names(leaf)
        matching = [name for name in names if self._subject in (None, name)]
        if not matching:
            raise UntrustedSignerError(f"signed by {name_of(leaf)}, not by {self._subject}")
        return SignerId(_fingerprint(leaf), _fingerprint(chain[-1]), matching[0])

    def vouches(self, signer: SignerId) -> bool:
        """Returns whether what `signer` once signed counts, whatever the time and the certificate."""
        return (
            signer.subject is not None
            and signer.root in self._anchors
            and not {signer.root, signer.key} & self._revoked_keys
            and self._subject in (None, signer.subject)
        )

    def _is_revoked(self, certificate: x509.Certificate) -> bool:
        return (
            certificate.serial_number in self._revoked_serials
            or _fingerprint(certificate) in self._revoked_keys
        )

    def _path(
        self, leaf: x509.Certificate, others: list[x509.Certificate], time: datetime.datetime
    ) -> list[x509.Certificate]:
        builder = PolicyBuilder().store(self._store).time(time)
        policies = builder.extension_policies(ca_policy=_authority_policy(), ee_policy=_leaf_policy())
        try:
            # The client verifier is the one that does not ask for a host name.
            return policies.build_client_verifier().verify(leaf, others).chain
        except _UNFIT as error:
            if not leaf.not_valid_before_utc <= time <= leaf.not_valid_after_utc:
                raise ExpiredError(
                    f"certificate of {name_of(leaf)} is valid from {leaf.not_valid_before_utc:%Y-%m-%d} "
                    f"to {leaf.not_valid_after_utc:%Y-%m-%d}, not on {time:%Y-%m-%d}"
                ) from None
            raise UntrustedSignerError(
                f"certificate of {name_of(leaf)} does not lead to a trusted root",
                hint=f"the reason was: {error}"[:400],
            ) from None


def signing_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """Returns the P-256, P-384 or P-521 key that a certificate speaks for.

    Raises:
        SignatureError: the certificate is for another kind of key.
    """
    try:
        key = certificate.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey):
            dsse.ecdsa_for(key)
            return key
    except (ValueError, UnsupportedAlgorithm, UsageError):
        pass
    raise SignatureError("the signing certificate is not for a P-256, P-384 or P-521 key")


def name_of(certificate: x509.Certificate) -> str:
    """Returns the subject in printable form (RFC 4514)."""
    try:
        text = certificate.subject.rfc4514_string()
    except ValueError:
        return "an unreadable subject"
    return repr(text[:200])


def _parse(data: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except (ValueError, x509.InvalidVersion):
        raise UsageError(
            "no certificates in PEM form",
            hint="expected the text that begins with -----BEGIN CERTIFICATE-----",
        ) from None


def _authority_policy() -> ExtensionPolicy:
    # Private authorities often leave out the key identifiers and the key usage that public
    # web authorities must have. basicConstraints and path lengths stay obligatory.
    return (
        ExtensionPolicy.webpki_defaults_ca()
        .may_be_present(x509.SubjectKeyIdentifier, _ANY, None)
        .may_be_present(x509.AuthorityKeyIdentifier, _ANY, None)
        .may_be_present(x509.ExtendedKeyUsage, _ANY, _check_nested_usage)
        .may_be_present(x509.KeyUsage, _ANY, _check_authority_usage)
        .require_present(x509.BasicConstraints, _ANY, None)
    )


def _leaf_policy() -> ExtensionPolicy:
    return (
        ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.SubjectAlternativeName, _ANY, None)
        .may_be_present(x509.AuthorityKeyIdentifier, _ANY, None)
        .may_be_present(x509.KeyUsage, _ANY, _check_key_usage)
        .may_be_present(x509.ExtendedKeyUsage, _ANY, _check_extended_usage)
    )


def _check_authority_usage(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the issuer's certificate must not issue certificates")


def _check_key_usage(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.digital_signature:
        raise ValueError("the certificate's key usage lacks digitalSignature")


def _check_nested_usage(
    _policy: Policy, _certificate: x509.Certificate, usages: x509.ExtendedKeyUsage | None
) -> None:
    # An authority for one use must not give certificates for another (CA/Browser Forum, nested usages).
    if usages is not None and not _SIGNS & set(usages):
        raise ValueError("an issuer's certificate is for other uses than signing code")


def _check_extended_usage(
    _policy: Policy, _certificate: x509.Certificate, usages: x509.ExtendedKeyUsage | None
) -> None:
    if usages is None:
        raise ValueError("the certificate does not say that its key signs code")
    if ExtendedKeyUsageOID.CODE_SIGNING not in usages:
        raise ValueError("the certificate's extended key usage lacks codeSigning")


def _wanted(subject: str | TypedSubject | None) -> TypedSubject | None:
    if not isinstance(subject, str):
        return subject
    word, equals, value = subject.partition("=")
    kinds = {text: kind for kind, text in SUBJECT_KINDS.items()}
    if not equals or not value or word.upper() not in kinds:
        raise UsageError(
            f"a subject needs its kind: {subject[:80]!r}",
            hint="write CN=NAME, EMAIL=ADDRESS, DNS=NAME, URI=ADDRESS or DN=WHOLE-NAME",
        )
    return TypedSubject(kinds[word.upper()], value)


def _fingerprint(certificate: x509.Certificate) -> bytes:
    # Of its key, which outlives the certificate; roots may have keys of other kinds than signers.
    pem = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).digest()


def _names(certificate: x509.Certificate) -> list[TypedSubject]:
    """Returns the names of a certificate, the one that it goes by first."""
    return [*_common_names(certificate), *_alternative_names(certificate), _whole_name(certificate)]


def _common_names(certificate: x509.Certificate) -> list[TypedSubject]:
    try:
        attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return [_subject("cn", item.value) for item in attributes if isinstance(item.value, str)]
    except ValueError:
        # Names that cannot be decoded are nobody's names.
        return []


def _alternative_names(certificate: x509.Certificate) -> list[TypedSubject]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*_UNFIT, x509.ExtensionNotFound):
        return []
    kinds = {x509.DNSName: "dns", x509.RFC822Name: "email", x509.UniformResourceIdentifier: "uri"}
    return [_subject(kinds[type(name)], name.value) for name in found if type(name) in kinds]


def _whole_name(certificate: x509.Certificate) -> TypedSubject:
    try:
        return _subject("dn", certificate.subject.rfc4514_string())
    except ValueError:
        return _subject("dn", "")


def _subject(kind: str, value: str) -> TypedSubject:
    return TypedSubject(kind, value[:LONGEST_SUBJECT])
