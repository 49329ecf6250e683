"""Signers by the URI of their key, wherever the key is.

    file:PATH or PATH            a PEM file; encrypted, with ?passphrase-file=PATH or ?passphrase-env=NAME
    tpm2:..., pkcs11:...         entry points of group ``modelkeep.signers``; other packages add theirs
    awskms:...#PUBLIC.pem, ...   what package securesystemslib knows, with the public key's file

An entry point's value is called with the address (the URI after its scheme) and the certificates,
and returns a `BundleSigner`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from modelkeep import plugins
from modelkeep.errors import KeepError, KeyStoreError, UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.trust import private_key
from modelkeep.trust.certificate_roots import load_certificates
from modelkeep.trust.signer import BundleSigner, Signer, check_certificate
from modelkeep.uri import DEFAULT_SCHEME, split

if TYPE_CHECKING:
    from cryptography import x509

    _Opener = Callable[[str, tuple[x509.Certificate, ...]], BundleSigner]

GROUP = "modelkeep.signers"

SignerLike = BundleSigner | str | os.PathLike[str]


def open_signer(
    uri: str | os.PathLike[str],
    *,
    passphrase: bytes | None = None,
    certificates: str | os.PathLike[str] | None = None,
    purpose: Purpose = Purpose.BUNDLE,
) -> BundleSigner:
    """Returns the signer whose private key `uri` names.

    Args:
        uri: where the key is.
        passphrase: what unlocks an encrypted key file; other stores have their own ways.
        certificates: PEM file with the signing certificate first, then its issuers.
        purpose: what the key is to sign; key files tell for what they were made, other stores cannot.

    Raises:
        UsageError: an unknown scheme, an address that is not of its form, a key for something else, or
            foreign certificates.
        KeyStoreError: the key cannot be found, unlocked or used.
        StorageError: a file cannot be read.
    """
    scheme, address = split(uri)
    if scheme == DEFAULT_SCHEME:
        with private_key.unlocking(address, passphrase) as (path, secret):
            return Signer.from_pem(path, passphrase=secret, certificates=certificates, purpose=purpose)
    if passphrase is not None:
        raise UsageError(f"a {scheme[:64]} key does not take its passphrase from here")
    chain = load_certificates(certificates)
    signer = _open(scheme, address, chain)
    if chain:
        check_certificate(chain[0], signer.public_key)
    return signer


def as_signer(signer: SignerLike | None) -> BundleSigner | None:
    """Returns `signer`, or the one that its URI or path names.

    Raises:
        UsageError: something else was passed; or as for `open_signer`.
        KeyStoreError, StorageError: as for `open_signer`.
    """
    if isinstance(signer, str | os.PathLike):
        return open_signer(signer)
    if signer is not None and not hasattr(signer, "sign"):
        raise UsageError(
            f"not a signer: {type(signer).__name__}",
            hint="pass a Signer, or the URI or path of its key",
        )
    return signer


def _open(scheme: str, address: str, chain: tuple[x509.Certificate, ...]) -> BundleSigner:
    points = plugins.find(GROUP, scheme)
    if len(points) > 1:
        raise KeyStoreError(f"several packages offer signers for {scheme!r}", hint="uninstall all but one")
    try:
        for point in points:
            return cast("_Opener", point.load())(address, chain)
        from modelkeep.trust.service_signer import ServiceSigner

        return ServiceSigner(f"{scheme}:{address}", chain)
    except KeepError:
        raise
    except (ImportError, AttributeError) as error:
        raise KeyStoreError(
            f"signers for {scheme[:64]!r} cannot be loaded", hint=plugins.install_hint(_extra(scheme))
        ) from error
    except Exception as error:
        # Texts of foreign exceptions may hold secrets.
        raise KeyStoreError(f"the signer {scheme!r} failed: {type(error).__name__}") from error


def _extra(scheme: str) -> str:
    return scheme if scheme in ("tpm2", "pkcs11") else "signers"
