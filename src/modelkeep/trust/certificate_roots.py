"""Authorities whose certificates may sign models, and certificates that somebody passes or does not.

Reading certificates takes as long to import as the rest of an opening, which most often meets none: what
does it is imported where somebody passes some.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from modelkeep.errors import UntrustedSignerError, UsageError
from modelkeep.posix import importing
from modelkeep.signer_id import SUBJECT_KINDS, SignerId, TypedSubject

if TYPE_CHECKING:
    from cryptography import x509

    from modelkeep.trust.certificates import CertificateSource

_END_OF_CALENDAR = int(datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC).timestamp())


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
        self._roots = load_certificates(roots)
        from modelkeep.trust.certificates import fingerprint

        self._anchors = frozenset(map(fingerprint, self._roots))
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
        from modelkeep.trust.certificate_chains import chain_of
        from modelkeep.trust.certificates import fingerprint, name_of, names_of

        leaf = certificates[0]
        time = self._time or datetime.datetime.fromtimestamp(min(now, _END_OF_CALENDAR), datetime.UTC)
        chain = chain_of(certificates, self._roots, time)
        if any(self._is_revoked(certificate) for certificate in chain):
            raise UntrustedSignerError(f"certificate of {name_of(leaf)} is revoked")
        names = names_of(leaf)
        matching = [name for name in names if self._subject in (None, name)]
        if not matching:
            raise UntrustedSignerError(f"signed by {name_of(leaf)}, not by {self._subject}")
        return SignerId(fingerprint(leaf), fingerprint(chain[-1]), matching[0])

    def vouches(self, signer: SignerId) -> bool:
        """Returns whether what `signer` once signed counts, whatever the time and the certificate."""
        return (
            signer.subject is not None
            and signer.root in self._anchors
            and not {signer.root, signer.key} & self._revoked_keys
            and self._subject in (None, signer.subject)
        )

    def _is_revoked(self, certificate: x509.Certificate) -> bool:
        from modelkeep.trust.certificates import fingerprint

        return (
            certificate.serial_number in self._revoked_serials
            or fingerprint(certificate) in self._revoked_keys
        )


def load_certificates(source: CertificateSource | None) -> tuple[x509.Certificate, ...]:
    """Returns what `certificates.load` does, or none where none were passed.

    Raises:
        StorageError: the file cannot be read.
        UsageError: no certificate in it.
        UnavailableError: this is no system that modelkeep reads files on.
    """
    if source is None:
        return ()
    with importing():
        from modelkeep.trust import certificates
    return certificates.load(source)


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
