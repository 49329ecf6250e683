"""What protects installations on a device with a TPM: a sealed object keeps, an agreement vouches.

The agreement of the key with itself never changes: whoever read it once from the device's memory has
it for ever. So the install key is kept by a sealed object, a new one for each installation. Anybody
who may talk to the TPM can seal, so a sealed object proves nothing; the agreement does, which takes
the key's policy to compute. Source: spec/install-v1.md, "Sealed to a TPM".
"""

from __future__ import annotations

import hmac

from modelkeep import keywrap
from modelkeep.device.local_key import SecretLocalKey, not_ours
from modelkeep.errors import TamperedError
from modelkeep.keys.tpm2.device import connected
from modelkeep.keys.tpm2.key_file import KeyFile
from modelkeep.keys.tpm2.sealed_object import SECRET_BYTES, SealedObject, seal, unseal
from modelkeep.memory import Pages
from modelkeep.memory.randomness import fill_random

TAG_BYTES, WRAPPED_BYTES = 32, 40


class TpmLocalKey:
    """See `LocalKey`; what it wraps is tag (32 bytes), key wrap (40), sealed object.

    Args:
        agreement: the agreement of the key with itself, which this object owns.
        key_file: the key, whose parent and policy the sealed objects have, too.
        tcti: how the TPM is reached.
        auth: the key's passphrase, or None.
    """

    def __init__(self, agreement: SecretLocalKey, key_file: KeyFile, tcti: str, auth: Pages | None) -> None:
        self._agreement = agreement
        self._file = key_file
        self._tcti = tcti
        self._auth = auth

    def wrap(self, key: memoryview, context: bytes) -> bytes:
        """See `LocalKey.wrap`."""
        with Pages.allocate(SECRET_BYTES) as secret:
            fill_random(secret.view)
            with connected(self._tcti) as tpm:
                sealed = seal(tpm, self._file, self._auth, secret.view)
            body = keywrap.wrap(secret.view, bytearray(key), context) + sealed.to_bytes()
        return self._agreement.authenticate(body, context) + body

    def unwrap(self, wrapped: bytes, context: bytes) -> bytearray:
        """See `LocalKey.unwrap`."""
        tag, body = wrapped[:TAG_BYTES], wrapped[TAG_BYTES:]
        # Before the TPM sees it: a wrong passphrase inside counts towards the lockout of the right one.
        if not hmac.compare_digest(self._agreement.authenticate(body, context), tag):
            raise not_ours()
        sealed = SealedObject.from_bytes(body[WRAPPED_BYTES:])
        with connected(self._tcti) as tpm, unseal(tpm, self._file, self._auth, sealed) as secret:
            try:
                return keywrap.unwrap(secret.view, body[:WRAPPED_BYTES], context)
            except TamperedError:
                raise not_ours() from None

    def for_state(self) -> SecretLocalKey:
        """Returns the agreement alone: a state is nobody's secret, and is read too often to unseal."""
        return self._agreement

    def close(self) -> None:
        """Wipes the agreement."""
        self._agreement.close()
