"""Code that Apple's tools signed: whether it is what was signed, and who signed it.

Source: Apple, TN3126 "Inside Code Signing: Hashes"; xnu, osfmk/kern/cs_blobs.h.
Deviations: spec/posture-v1.md section 11.
"""

from __future__ import annotations

import hashlib
import hmac
import plistlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from modelkeep.errors import MalformedError, SignatureError, UntrustedSignerError
from modelkeep.posture import certificates
from modelkeep.posture.apple import cms
from modelkeep.posture.apple.blobs import Slot, content_of, parts_of
from modelkeep.posture.apple.code_directory import CodeDirectory
from modelkeep.posture.apple.mach_o import Slice, slices_of

# SHA-256 of the public key of Apple Root CA.
APPLE_ROOTS = frozenset({bytes.fromhex("eb4993efa9b089e593418aa893f8e93a7374d810e52fcbe01e7f1d7e92a6d024")})

_CDHASHES = "1.2.840.113635.100.9.1"
_EMBEDDED = (Slot.REQUIREMENTS, Slot.ENTITLEMENTS, Slot.DER_ENTITLEMENTS)
_STRONG = frozenset({"sha256", "sha384", "sha512"})
# Apple's timestamps are signed over SHA-1; their own digest of what they are about is not.
_STAMPED = _STRONG | {"sha1"}
_TOKEN = "1.2.840.113549.1.9.16.1.4"  # noqa: S105
# Critical marks that say for what Apple issued a certificate.
_MARKS = tuple(
    x509.ObjectIdentifier(f"1.2.840.113635.100.6.{mark}")
    for mark in ("1.13", "1.4", "1.7", "1.12", "1.2", "2.1", "2.6", "2.9")
)


@dataclass(frozen=True, slots=True)
class CodeSignature:
    """Who signed code, and what it says of itself.

    Attributes:
        identifier: what the code calls itself.
        team: the team that signed it; empty for an ad hoc signature.
        authorities: names of the certificates from the signer to Apple's root; empty for an ad hoc signature.
        signed_at: when, by a timestamp, in seconds since 1970-01-01 UTC; None without.
        hardened: whether it asks for the hardened runtime.
        cdhashes: what names the code of each slice, 20 bytes each.
    """

    identifier: str
    team: str
    authorities: tuple[str, ...]
    signed_at: int | None
    hardened: bool
    cdhashes: tuple[bytes, ...]

    @property
    def is_ad_hoc(self) -> bool:
        """Whether nobody stands behind it: digests that anybody can make."""
        return not self.authorities

    def require(self, team: str | None = None) -> None:
        """Passes code that somebody signed.

        Args:
            team: the team that must have signed it; None accepts any that Apple vouches for.

        Raises:
            UntrustedSignerError: nobody signed it, or another team.
        """
        if self.is_ad_hoc:
            raise UntrustedSignerError(
                "the code is signed ad hoc: its digests hold, and nobody vouches for them"
            )
        if team is not None and self.team != team:
            raise UntrustedSignerError(
                f"the code is signed by team {self.team or 'without a name'}, not {team}"
            )


def verify_code(
    data: memoryview,
    now: int,
    *,
    info: bytes | None = None,
    resources: bytes | None = None,
    roots: Collection[bytes] = APPLE_ROOTS,
) -> CodeSignature:
    """Checks every slice of a Mach-O file.

    Args:
        data: the file.
        now: seconds since 1970-01-01 UTC; certificates count then, unless there is a timestamp.
        info: Info.plist of the bundle; None for a file that stands alone.
        resources: CodeResources of the bundle; None for a file that stands alone.
        roots: SHA-256 of the public keys that are believed.

    Raises:
        MalformedError: not Mach-O, or its signature is not in form.
        SignatureError: not signed, or not over this code.
        TamperedError: code, entitlements or another part was changed.
        UntrustedSignerError: it does not lead to a root, or the team is not the certificate's.
        ExpiredError: the certificate had ended when it signed, or now without a timestamp.
        RuntimeMissingError: asn1crypto is not installed.
    """
    found = [_verify_slice(each, now, info, resources, roots) for each in slices_of(data)]
    first = found[0]
    if any(
        (each.identifier, each.team, each.is_ad_hoc) != (first.identifier, first.team, first.is_ad_hoc)
        for each in found
    ):
        raise SignatureError("the slices of the code are signed by different teams, or have different names")
    cdhashes = tuple(cdhash for each in found for cdhash in each.cdhashes)
    return CodeSignature(
        first.identifier, first.team, first.authorities, first.signed_at, first.hardened, cdhashes
    )


def _verify_slice(
    part: Slice, now: int, info: bytes | None, resources: bytes | None, roots: Collection[bytes]
) -> CodeSignature:
    parts = parts_of(part.signature)
    if Slot.CODE_DIRECTORY not in parts:
        raise SignatureError("the signature has no code directory")
    directory = _strongest(parts)
    directory.check_code(part.code)
    for slot in _EMBEDDED:
        directory.check_part(slot, parts.get(slot))
    _check_bundle(directory, info, resources)
    signature = content_of(parts.get(Slot.CMS, bytes(8)))
    if not signature:
        return _ad_hoc(directory)
    return _signed(directory, parts[Slot.CODE_DIRECTORY], signature, now, roots)


def _strongest(parts: Mapping[int, bytes]) -> CodeDirectory:
    slots = (Slot.CODE_DIRECTORY, *range(Slot.ALTERNATE, Slot.LAST_ALTERNATE + 1))
    found, refusal = [], None
    for slot in slots:
        try:
            if slot in parts:
                found.append(CodeDirectory.parse(parts[slot]))
        except SignatureError as error:
            refusal = error
    if not found:
        raise refusal or SignatureError("the signature has no code directory")
    return max(found, key=lambda each: (each.algorithm, each.digest_bytes))


def _check_bundle(directory: CodeDirectory, info: bytes | None, resources: bytes | None) -> None:
    # A file that stands alone may have its Info.plist within its code, where the pages cover it.
    if info is not None or resources is not None:
        directory.check_part(Slot.INFO, info)
        directory.check_part(Slot.RESOURCES, resources)


def _ad_hoc(directory: CodeDirectory) -> CodeSignature:
    if not directory.is_ad_hoc:
        raise SignatureError("the code says that somebody signed it, and there is no signature")
    return CodeSignature(directory.identifier, "", (), None, directory.is_hardened, (directory.cdhash,))


def _signed(
    directory: CodeDirectory, primary: bytes, signature: bytes, now: int, roots: Collection[bytes]
) -> CodeSignature:
    signed = cms.parse(signature)
    signed.check(primary, hashes_allowed=_STRONG)
    if directory.encoded != primary and directory.cdhash not in _named(signed):
        raise SignatureError("the code directory is not one of those that were signed")
    stamped_at = _stamped_at(signed, now, roots) if signed.timestamp else None
    path = _path(signed, stamped_at or now, roots, ExtendedKeyUsageOID.CODE_SIGNING)
    if _unit(signed.leaf) != directory.team:
        raise UntrustedSignerError("the code names a team that its certificate is not for")
    names = tuple(_common_name(each) for each in path)
    return CodeSignature(
        *(directory.identifier, directory.team, names, stamped_at, directory.is_hardened, (directory.cdhash,))
    )


def _named(signed: cms.SignedData) -> list[bytes]:
    """Returns the code directories (20 bytes each) that the signature names besides."""
    values = signed.attributes.get(_CDHASHES, ())
    try:
        plist = plistlib.loads(cms.octets(values[0])) if values else {}
        return [bytes(each) for each in plist["cdhashes"]] if values else []
    except Exception:  # plistlib raises whatever its parsers do
        raise MalformedError("code signature: the list of code directories is not in form") from None


def _stamped_at(signed: cms.SignedData, now: int, roots: Collection[bytes]) -> int:
    """Returns when a timestamp says that the signature was there already."""
    token = cms.parse(signed.timestamp)
    if token.content_type != _TOKEN:
        raise SignatureError("the timestamp is something else")
    token.check(token.content, hashes_allowed=_STAMPED)
    algorithm, digest, moment = cms.token_info(token)
    if algorithm not in _STRONG:
        raise SignatureError("the timestamp is over a hash that does not count any more")
    if not hmac.compare_digest(hashlib.new(algorithm, signed.signature).digest(), digest):
        raise SignatureError("the timestamp is about another signature")
    if moment > now + 86_400:
        raise SignatureError("the timestamp lies in the future")
    _path(token, moment, roots, ExtendedKeyUsageOID.TIME_STAMPING)
    return moment


def _path(
    signed: cms.SignedData, moment: int, roots: Collection[bytes], usage: x509.ObjectIdentifier
) -> tuple[x509.Certificate, ...]:
    pinned = [each for each in signed.certificates if certificates.fingerprint(each) in roots]
    path = certificates.path_to_root(signed.leaf, signed.certificates, pinned, moment, understood=_MARKS)
    usages = [each.value for each in signed.leaf.extensions if isinstance(each.value, x509.ExtendedKeyUsage)]
    if not usages or usage not in usages[0]:
        raise UntrustedSignerError(f"certificate {certificates.name_of(signed.leaf)} is for something else")
    return path


def _unit(certificate: x509.Certificate) -> str:
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return str(units[0].value) if units else ""


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value)[:120] if names else "without a name"
