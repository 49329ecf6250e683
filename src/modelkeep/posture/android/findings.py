"""What an attested key says of its device, as findings."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.errors import PostureError
from modelkeep.posture.android.authorization_list import AuthorizationList, Origin, Purpose, Tag
from modelkeep.posture.android.chain import AttestedKey
from modelkeep.posture.android.key_description import KeyDescription, SecurityLevel
from modelkeep.posture.finding import Finding, claimed, proven

_LEVELS = {SecurityLevel.TRUSTED_ENVIRONMENT: "tee", SecurityLevel.STRONG_BOX: "strongbox"}
# Year and month; the other two have the day as well.
_PATCH_LEVELS = {
    "os-patch-level": (Tag.OS_PATCH_LEVEL, 6),
    "vendor-patch-level": (Tag.VENDOR_PATCH_LEVEL, 8),
    "boot-patch-level": (Tag.BOOT_PATCH_LEVEL, 8),
}
_IDENTIFIERS = {
    "brand": Tag.BRAND,
    "device": Tag.DEVICE,
    "product": Tag.PRODUCT,
    "manufacturer": Tag.MANUFACTURER,
    "model": Tag.MODEL,
    "serial": Tag.SERIAL,
}
_SYSTEMS_WORD = "the system says so, not its hardware"


def device_key(key: AttestedKey) -> ec.EllipticCurvePublicKey:
    """Returns the attested key, if it can be a device's: it agrees, does nothing else, and was made inside.

    Raises:
        PostureError: it is another kind of key.
    """
    hardware = key.description.hardware
    public = key.certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise PostureError("the attested key is not on P-256")
    if key.description.level is SecurityLevel.SOFTWARE:
        raise PostureError("the attested key is kept by software")
    if _purposes(key.description) != {Purpose.AGREE_KEY}:
        raise PostureError(
            "the attested key may be used for something else than key agreement",
            hint="make it with the purpose AGREE_KEY alone",
        )
    if hardware.get(Tag.ORIGIN) != Origin.GENERATED:
        raise PostureError("the attested key was not made inside the hardware")
    return public


def findings_of(description: KeyDescription) -> Iterator[Finding]:
    """Yields what an attestation says whose chain is verified and whose challenge is ours."""
    hardware, software = description.hardware, description.software
    if level := _LEVELS.get(description.level):
        yield proven("key-protection", level)
    yield from _boot(hardware)
    yield from _patches(hardware)
    yield from _identifiers(hardware)
    yield from _application(software)


def _boot(hardware: AuthorizationList) -> Iterator[Finding]:
    # Only what the hardware enforces comes from the boot loader; in the other list anybody can write it.
    root = hardware.get(Tag.ROOT_OF_TRUST)
    if root is None:
        return
    when = "when the key was made"
    yield proven("boot-state", root.boot_state.name.lower(), when)
    yield proven("boot-locked", root.device_locked, when)
    yield proven("boot-key", root.verified_boot_key.hex(), when)
    if root.verified_boot_hash:
        yield proven("boot-hash", root.verified_boot_hash.hex(), when)


def _patches(hardware: AuthorizationList) -> Iterator[Finding]:
    for name, (tag, digits) in _PATCH_LEVELS.items():
        level = hardware.get(tag)
        # Some makers leave the day out; a level in any other form is no level.
        if level is not None and len(str(level)) in (6, digits):
            yield proven(name, level * 10 ** (digits - len(str(level))))


def _identifiers(hardware: AuthorizationList) -> Iterator[Finding]:
    for name, tag in _IDENTIFIERS.items():
        if (value := hardware.get(tag)) is not None:
            yield proven(name, value.decode("utf-8", "backslashreplace"))


def _application(software: AuthorizationList) -> Iterator[Finding]:
    application = software.get(Tag.APPLICATION)
    if application is None:
        return
    yield claimed("application", tuple(name for name, _ in application.packages), _SYSTEMS_WORD)
    yield claimed("application-signer", tuple(each.hex() for each in application.signers), _SYSTEMS_WORD)


def _purposes(description: KeyDescription) -> set[int]:
    lists = (description.hardware, description.software)
    return {purpose for each in lists for purpose in each.get(Tag.PURPOSE) or ()}
