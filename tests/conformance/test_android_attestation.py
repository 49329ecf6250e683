"""Chains of real phones, of which MODELKEEP_ATTESTATION_SAMPLES names a folder; skipped without it.

The samples are those of the public verifier android/keyattestation: chains as PEM, what they say as JSON,
and chains under `invalid` that have to be refused.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from modelkeep.errors import MalformedError, UntrustedSignerError
from modelkeep.posture.android.authorization_list import AuthorizationList, Tag
from modelkeep.posture.android.chain import verify_chain
from modelkeep.posture.android.key_description import EXTENSION, KeyDescription, SecurityLevel

FOLDER = os.environ.get("MODELKEEP_ATTESTATION_SAMPLES")

pytestmark = pytest.mark.skipif(FOLDER is None, reason="MODELKEEP_ATTESTATION_SAMPLES is not set")

# What the samples call the tags; sets, single values and bytes are written differently there.
NUMBERS = {
    "algorithms": Tag.ALGORITHM,
    "keySize": Tag.KEY_SIZE,
    "ecCurve": Tag.EC_CURVE,
    "mlDsaVariant": Tag.ML_DSA_VARIANT,
    "rsaPublicExponent": Tag.RSA_PUBLIC_EXPONENT,
    "usageCountLimit": Tag.USAGE_COUNT_LIMIT,
    "creationDateTime": Tag.CREATION_DATE_TIME,
    "osVersion": Tag.OS_VERSION,
    "osPatchLevel": Tag.OS_PATCH_LEVEL,
    "vendorPatchLevel": Tag.VENDOR_PATCH_LEVEL,
    "bootPatchLevel": Tag.BOOT_PATCH_LEVEL,
}
SETS = {"purposes": Tag.PURPOSE, "digests": Tag.DIGEST, "paddings": Tag.PADDING}
TEXTS = {
    "attestationIdBrand": Tag.BRAND,
    "attestationIdDevice": Tag.DEVICE,
    "attestationIdProduct": Tag.PRODUCT,
    "attestationIdManufacturer": Tag.MANUFACTURER,
    "attestationIdModel": Tag.MODEL,
    "attestationIdSerial": Tag.SERIAL,
}
FLAGS = {
    "noAuthRequired": Tag.NO_AUTH_REQUIRED,
    "trustedConfirmationRequired": Tag.TRUSTED_CONFIRMATION_REQUIRED,
    "unlockedDeviceRequired": Tag.UNLOCKED_DEVICE_REQUIRED,
}


def samples(kind: str = "*/sdk*/*.pem") -> list[Path]:
    return sorted(Path(FOLDER or ".").glob(kind)) if FOLDER else []


def certificates(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def when_all_count(chain: list[x509.Certificate]) -> int:
    return int(max(each.not_valid_before_utc for each in chain).timestamp()) + 3600


def description(chain: list[x509.Certificate]) -> KeyDescription:
    value = chain[0].extensions.get_extension_for_oid(x509.ObjectIdentifier(EXTENSION)).value
    return KeyDescription.parse(value.public_bytes())


def expected(path: Path) -> dict[str, Any]:
    lines = path.with_suffix(".json").read_text().splitlines()
    loaded = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("path", samples(), ids=str)
def test_every_sample_says_what_is_expected_of_it(path: Path) -> None:
    read, said = description(certificates(path)), expected(path)
    assert read.attestation_level.name == said["attestationSecurityLevel"]
    assert read.key_level.name == said["keyMintSecurityLevel"]
    assert read.challenge == base64.b64decode(said["attestationChallenge"])
    for found, wanted in (
        (read.software, said["softwareEnforced"]),
        (read.hardware, said["hardwareEnforced"]),
    ):
        assert dict(members(found)) == {name: wanted.get(name) for name, _ in members(found)}
        check_root_of_trust(found, wanted.get("rootOfTrust"))


def members(found: AuthorizationList) -> Iterator[tuple[str, object]]:
    for name, tag in NUMBERS.items():
        yield name, None if found.get(tag) is None else str(found.get(tag))
    for name, tag in SETS.items():
        yield name, None if found.get(tag) is None else [str(each) for each in found.get(tag)]
    for name, tag in TEXTS.items():
        yield name, None if found.get(tag) is None else found.get(tag).decode()
    for name, tag in FLAGS.items():
        yield name, found.get(tag)


def check_root_of_trust(found: AuthorizationList, wanted: dict[str, Any] | None) -> None:
    root = found.get(Tag.ROOT_OF_TRUST)
    assert (root is None) == (wanted is None)
    if root is not None and wanted is not None:
        assert root.verified_boot_key == base64.b64decode(wanted["verifiedBootKey"])
        assert root.device_locked == wanted["deviceLocked"]
        assert root.boot_state.name == wanted["verifiedBootState"]
        assert root.verified_boot_hash == base64.b64decode(wanted.get("verifiedBootHash", ""))


@pytest.mark.parametrize("path", samples(), ids=str)
def test_chains_of_hardware_lead_to_google_and_chains_of_software_do_not(path: Path) -> None:
    chain = certificates(path)
    encoded = [each.public_bytes(Encoding.DER) for each in chain]
    if description(chain).level is SecurityLevel.SOFTWARE:
        with pytest.raises(UntrustedSignerError):
            verify_chain(encoded, when_all_count(chain), revocations=None)
        return
    assert verify_chain(encoded, when_all_count(chain), revocations=None).description == description(chain)


@pytest.mark.parametrize("path", samples("invalid/*.pem"), ids=str)
def test_invalid_samples_are_refused(path: Path) -> None:
    chain = certificates(path)
    encoded = [each.public_bytes(Encoding.DER) for each in chain]
    reasons = {
        "tags_not_in_ascending_order": "comes after tag",
        "malformed_rot_device_locked": "neither true nor false",
    }
    with pytest.raises(MalformedError, match=reasons.get(path.stem, "")):
        verify_chain(encoded, when_all_count(chain), revocations=None)
