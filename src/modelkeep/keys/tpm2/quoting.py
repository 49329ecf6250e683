"""Making quotes with a key that signs nothing but what its TPM measured."""

from __future__ import annotations

from tpm2_pytss import TPM2_ALG, TPM2B_DATA, TPMT_SIG_SCHEME

from modelkeep.keys.tpm2.address import TpmAddress
from modelkeep.keys.tpm2.device import connected, pcr_selection
from modelkeep.keys.tpm2.key_file import QUOTE
from modelkeep.keys.tpm2.quote import Quote
from modelkeep.keys.tpm2.session import using
from modelkeep.keys.tpm2.signer import signature_in_der


def make_quote(address: str, pcrs: tuple[int, ...], nonce: bytes) -> Quote:
    """Returns the TPM's statement about `pcrs` (SHA-256 bank), bound to `nonce` (32 bytes).

    Args:
        address: address of a key made with kind ``quote``.
        pcrs: PCR numbers, ascending.
        nonce: what the verifier chose.

    Raises:
        UsageError: the address is not of this form, or the key has another use.
        StorageError: the key file cannot be read.
        KeyStoreError: the TPM cannot be reached, or the key's policy is not met.
    """
    parsed = TpmAddress.parse(address)
    key_file = parsed.read(QUOTE)
    auth = parsed.passphrase_for(key_file.policy)
    with connected(parsed.tcti) as tpm, using(tpm, key_file, auth) as (key, session):
        scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
        answer = tpm.esapi.quote(key, pcr_selection(pcrs), TPM2B_DATA(nonce), scheme, session1=session)
        attested, signature = answer
        return Quote(bytes(attested), signature_in_der(signature))
