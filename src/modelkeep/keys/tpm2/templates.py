"""Public areas of the objects that we create. Source: TPM 2.0 Library, Part 2, "TPMA_OBJECT"."""

from __future__ import annotations

from typing import Any

from tpm2_pytss import (
    TPM2_ALG,
    TPM2_ECC,
    TPM2B_PUBLIC,
    TPMA_OBJECT,
    TPMS_ECC_PARMS,
    TPMS_KEYEDHASH_PARMS,
    TPMS_SCHEME_HASH,
    TPMT_ECC_SCHEME,
    TPMT_KDF_SCHEME,
    TPMT_KEYEDHASH_SCHEME,
    TPMT_PUBLIC,
    TPMT_SYM_DEF_OBJECT,
    TPMU_ASYM_SCHEME,
    TPMU_PUBLIC_PARMS,
)

from modelkeep.keys.tpm2.key_file import OPEN, QUOTE, SIGN

# Never outside this TPM, not even encrypted; usable through the policy only.
BOUND = TPMA_OBJECT.FIXEDTPM | TPMA_OBJECT.FIXEDPARENT | TPMA_OBJECT.ADMINWITHPOLICY
_MADE_INSIDE = BOUND | TPMA_OBJECT.SENSITIVEDATAORIGIN
_ATTRIBUTES = {
    OPEN: _MADE_INSIDE | TPMA_OBJECT.DECRYPT,
    SIGN: _MADE_INSIDE | TPMA_OBJECT.SIGN_ENCRYPT,
    QUOTE: _MADE_INSIDE | TPMA_OBJECT.SIGN_ENCRYPT | TPMA_OBJECT.RESTRICTED,
}
_SCHEMES = {
    OPEN: (TPM2_ALG.ECDH, "ecdh"),
    SIGN: (TPM2_ALG.ECDSA, "ecdsa"),
    QUOTE: (TPM2_ALG.ECDSA, "ecdsa"),
}


def storage_primary() -> Any:
    """Returns the template of the storage primary key, the same in every run: P-256, AES-128."""
    return TPM2B_PUBLIC.parse(
        "ecc256:aes128cfb",
        objectAttributes="fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt",
    )


def key_template(use: str, policy_digest: bytes, *, auth: bool) -> Any:
    """Returns the template of a key for `use` under a policy.

    A key without passphrase is exempt from the dictionary-attack lockout, which hard power-offs
    trigger too; one with a passphrase needs the lockout, or its passphrase could be tried out.
    """
    attributes = _ATTRIBUTES[use] if auth else _ATTRIBUTES[use] | TPMA_OBJECT.NODA
    return TPM2B_PUBLIC(
        TPMT_PUBLIC(
            type=TPM2_ALG.ECC,
            nameAlg=TPM2_ALG.SHA256,
            objectAttributes=attributes,
            authPolicy=policy_digest,
            parameters=_curve_parameters(*_SCHEMES[use]),
        )
    )


def sealed_template(policy_digest: bytes, *, auth: bool) -> Any:
    """Returns the template of sealed data under a policy; what is said of `auth` above goes for it, too."""
    attributes = BOUND if auth else BOUND | TPMA_OBJECT.NODA
    nothing = TPMT_KEYEDHASH_SCHEME(scheme=TPM2_ALG.NULL)
    return TPM2B_PUBLIC(
        TPMT_PUBLIC(
            type=TPM2_ALG.KEYEDHASH,
            nameAlg=TPM2_ALG.SHA256,
            objectAttributes=attributes,
            authPolicy=policy_digest,
            parameters=TPMU_PUBLIC_PARMS(keyedHashDetail=TPMS_KEYEDHASH_PARMS(scheme=nothing)),
        )
    )


def _curve_parameters(scheme: Any, detail: str) -> Any:
    details = TPMU_ASYM_SCHEME(**{detail: TPMS_SCHEME_HASH(hashAlg=TPM2_ALG.SHA256)})
    return TPMU_PUBLIC_PARMS(
        eccDetail=TPMS_ECC_PARMS(
            symmetric=TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL),
            scheme=TPMT_ECC_SCHEME(scheme=scheme, details=details),
            curveID=TPM2_ECC.NIST_P256,
            kdf=TPMT_KDF_SCHEME(scheme=TPM2_ALG.NULL),
        )
    )
