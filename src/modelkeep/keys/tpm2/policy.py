"""When a key in a TPM may be used: PCR values, whose approval, an authorisation value.

Everything here is arithmetic on digests, so that whoever prepares an update can compute and
sign policies without a TPM. Source: TPM 2.0 Library, Part 3 (PolicyPCR, PolicyAuthorize,
PolicyAuthValue, PolicyCommandCode, PolicyOR) and Part 2 (TPMT_PUBLIC), SHA-256 throughout;
spec/install-v1.md, "Keys in a TPM".
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.dsse import APPROVAL_LABEL, EcdsaSigner
from modelkeep.errors import UsageError
from modelkeep.keys.point import coordinates_of

DIGEST_BYTES = 32
# Secure Boot's own register: a kernel update leaves it alone, another boot chain does not.
DEFAULT_PCRS = (7,)
PCRS = 24

# Commands that say something about a key instead of using it (TPM_CC).
ACTIVATE_CREDENTIAL, CERTIFY = 0x00000147, 0x00000148

_SHA256 = 0x000B
_POLICY_PCR, _POLICY_AUTHORIZE, _POLICY_AUTH_VALUE = 0x0000017F, 0x0000016A, 0x0000016B
_POLICY_COMMAND_CODE, _POLICY_OR = 0x0000016C, 0x00000171
# TPMT_PUBLIC of a P-256 key: type ECC, name algorithm SHA-256, attributes (userWithAuth, sign),
# no policy, no symmetric algorithm, scheme ECDSA with SHA-256, curve P-256, no KDF.
_AUTHORITY_FRONT = struct.pack(
    ">HHIHHHHHH", 0x0023, _SHA256, 0x00040040, 0, 0x0010, 0x0018, _SHA256, 0x0003, 0x0010
)


@dataclass(frozen=True, slots=True)
class Policy:
    """The conditions of one key.

    Attributes:
        pcrs: PCR numbers whose values count, ascending; may be empty.
        authority: P-256 key that approves PCR values; None fixes the values of creation time.
        auth: does the key have an authorisation value besides?
    """

    pcrs: tuple[int, ...]
    authority: ec.EllipticCurvePublicKey | None = None
    auth: bool = False

    def __post_init__(self) -> None:
        if list(self.pcrs) != sorted(set(self.pcrs)) or not all(0 <= index < PCRS for index in self.pcrs):
            raise UsageError(f"PCRs are numbers from 0 to {PCRS - 1}, ascending")
        if self.authority is not None and not isinstance(self.authority.curve, ec.SECP256R1):
            raise UsageError("PCR values are approved with a P-256 key")
        if self.authority is not None and not self.pcrs:
            raise UsageError("an authority approves PCR values, and no PCR is named")

    def digest(self, values: Mapping[int, bytes]) -> bytes:
        """Returns the policy digest of these conditions.

        Args:
            values: PCR values (32 bytes each) of now; not looked at when there is an authority.
        """
        digest = bytes(DIGEST_BYTES)
        if self.authority is not None:
            digest = _extend(digest, _POLICY_AUTHORIZE, authority_name(self.authority))
            digest = hashlib.sha256(digest + APPROVAL_LABEL).digest()
        elif self.pcrs:
            digest = pcr_digest(self.pcrs, values)
        return _extend(digest, _POLICY_AUTH_VALUE) if self.auth else digest


def branches(conditions: bytes) -> tuple[bytes, ...]:
    """Returns the ways to use a device's key under `conditions`, as policy digests.

    The first lets it be used. The others let its TPM vouch for it, by one command each: what an
    administrator may do with a key takes a policy that names the command.
    """
    named = (struct.pack(">I", command) for command in (ACTIVATE_CREDENTIAL, CERTIFY))
    return (conditions, *(_extend(conditions, _POLICY_COMMAND_CODE, command) for command in named))


def device_key_digest(conditions: bytes) -> bytes:
    """Returns the policy digest that a device's key carries: any of the branches of `conditions`."""
    return _extend(bytes(DIGEST_BYTES), _POLICY_OR, b"".join(branches(conditions)))


@dataclass(frozen=True, slots=True)
class Approval:
    """An authority's consent to a set of PCR values.

    Attributes:
        digest: policy digest of these values.
        signature: ECDSA in DER, by the authority, over digest | label.
    """

    digest: bytes
    signature: bytes


def approve(pcrs: tuple[int, ...], values: Mapping[int, bytes], signer: EcdsaSigner) -> Approval:
    """Returns the approval of `values` (32 bytes for every index in `pcrs`).

    Raises:
        UsageError: a value is missing or has another length, or it is no P-256 key.
    """
    Policy(pcrs, signer.public_key)
    digest = pcr_digest(pcrs, values)
    return Approval(digest, signer.sign(digest + APPROVAL_LABEL))


def pcr_digest(pcrs: tuple[int, ...], values: Mapping[int, bytes]) -> bytes:
    """Returns the digest of a policy that asks for `values` in `pcrs` and nothing else.

    Raises:
        UsageError: a value is missing or has another length.
    """
    chosen = [values.get(index, b"") for index in pcrs]
    if any(len(value) != DIGEST_BYTES for value in chosen):
        raise UsageError("PCR values: one of 32 bytes is needed for every PCR of the key")
    composite = hashlib.sha256(b"".join(chosen)).digest()
    return _extend(bytes(DIGEST_BYTES), _POLICY_PCR, selection(pcrs) + composite)


def selection(pcrs: tuple[int, ...]) -> bytes:
    """Returns the marshalled TPML_PCR_SELECTION of `pcrs` in the SHA-256 bank."""
    bits = sum(1 << index for index in pcrs)
    return struct.pack(">IHB", 1, _SHA256, PCRS // 8) + bits.to_bytes(PCRS // 8, "little")


def authority_public(key: ec.EllipticCurvePublicKey) -> bytes:
    """Returns the marshalled TPMT_PUBLIC under which a TPM loads the authority's key."""
    return _AUTHORITY_FRONT + b"".join(struct.pack(">H", len(part)) + part for part in coordinates_of(key))


def authority_name(key: ec.EllipticCurvePublicKey) -> bytes:
    """Returns the name that a TPM gives the authority's key."""
    return struct.pack(">H", _SHA256) + hashlib.sha256(authority_public(key)).digest()


def _extend(digest: bytes, command: int, argument: bytes = b"") -> bytes:
    return hashlib.sha256(digest + struct.pack(">I", command) + argument).digest()
