"""Chains of certificates, from a signer's up to a root.

Source: RFC 5280; path building and validation are those of cryptography.x509.verification.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from modelkeep.errors import ExpiredError, UntrustedSignerError
from modelkeep.trust.certificates import UNFIT, name_of

_ANY = Criticality.AGNOSTIC
_SIGNS = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


def chain_of(
    certificates: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], time: datetime.datetime
) -> list[x509.Certificate]:
    """Returns the path from a signing certificate to one of the roots.

    Args:
        certificates: the signing certificate and whatever else came with it.
        roots: where a path may end.
        time: the moment at which all of it has to be valid.

    Raises:
        ExpiredError: the signing certificate is outside its time.
        UntrustedSignerError: there is no valid path.
    """
    leaf, *others = certificates
    builder = PolicyBuilder().store(Store(list(roots))).time(time)
    policies = builder.extension_policies(ca_policy=_authority_policy(), ee_policy=_leaf_policy())
    try:
        # The client verifier is the one that does not ask for a host name.
        return policies.build_client_verifier().verify(leaf, others).chain
    except (VerificationError, *UNFIT) as error:
        if not leaf.not_valid_before_utc <= time <= leaf.not_valid_after_utc:
            raise ExpiredError(
                f"certificate of {name_of(leaf)} is valid from {leaf.not_valid_before_utc:%Y-%m-%d} "
                f"to {leaf.not_valid_after_utc:%Y-%m-%d}, not on {time:%Y-%m-%d}"
            ) from None
        raise UntrustedSignerError(
            f"certificate of {name_of(leaf)} does not lead to a trusted root",
            hint=f"the reason was: {error}"[:400],
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
