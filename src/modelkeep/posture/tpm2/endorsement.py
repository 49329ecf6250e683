"""The endorsement key: which TPM it is, by its maker's certificate.

Source: TCG EK Credential Profile for TPM Family 2.0, level 0, version 2.5.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep.errors import MalformedError, PostureError
from modelkeep.posture import certificates
from modelkeep.posture.tpm2.public_area import Attribute, PublicArea

_EK_CERTIFICATE = x509.ObjectIdentifier("2.23.133.8.1")
_MAKER = {"2.23.133.2.1": "tpm-manufacturer", "2.23.133.2.2": "tpm-model", "2.23.133.2.3": "tpm-version"}
_NEEDED = Attribute.FIXED_TPM | Attribute.FIXED_PARENT | Attribute.RESTRICTED | Attribute.DECRYPT


@dataclass(frozen=True, slots=True)
class Endorsement:
    """A TPM whose maker vouches for it.

    Attributes:
        public: public area of its endorsement key.
        identity: SHA-256 of that key (SubjectPublicKeyInfo): the same as long as the TPM lives.
        maker: what the certificate says of the TPM, by name of the finding.
    """

    public: PublicArea
    identity: bytes
    maker: dict[str, str]


def verify_endorsement(
    public: PublicArea, encoded: Sequence[bytes], roots: Collection[x509.Certificate], now: int
) -> Endorsement:
    """Returns the TPM that an endorsement key belongs to.

    Args:
        public: the key's public area, as the device sent it.
        encoded: the key's certificate in DER, then whatever leads to its maker's root.
        roots: makers that are believed.
        now: seconds since 1970-01-01 UTC.

    Raises:
        MalformedError: not certificates.
        UntrustedSignerError: no maker of ours stands behind it.
        ExpiredError: the certificate is outside its time.
        PostureError: the certificate is for another key, or for another use.
    """
    leaf, *others = certificates.parse_all(encoded, "endorsement certificate")
    certificates.path_to_root(leaf, others, roots, now)
    _check_use(leaf)
    if _der(leaf.public_key()) != _der(public.key):
        raise PostureError("the certificate is for another endorsement key")
    if public.attributes & _NEEDED != _NEEDED or public.attributes & Attribute.SIGN:
        raise PostureError("the certified key is not an endorsement key")
    return Endorsement(public, certificates.fingerprint(leaf), _maker(leaf))


def _check_use(leaf: x509.Certificate) -> None:
    for each in leaf.extensions:
        if isinstance(each.value, x509.ExtendedKeyUsage) and _EK_CERTIFICATE not in each.value:
            raise PostureError("the certificate is not one of an endorsement key")
    if certificates.constraints_of(leaf).ca:
        raise PostureError("the certificate is one of an authority, not of a TPM")


def _maker(leaf: x509.Certificate) -> dict[str, str]:
    names = (
        attribute
        for each in leaf.extensions
        if isinstance(each.value, x509.SubjectAlternativeName)
        for name in each.value.get_values_for_type(x509.DirectoryName)
        for attribute in name
    )
    return {
        _MAKER[each.oid.dotted_string]: str(each.value)[:64]
        for each in names
        if each.oid.dotted_string in _MAKER
    }


def _der(key: object) -> bytes:
    try:
        return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        raise MalformedError("endorsement key: of a kind that is not known here") from None
