"""What protects installations on a device with a TPM: an agreement and a sealed object together.

Anybody who may talk to the TPM can seal, so a sealed object proves nothing; the agreement of the
key with itself does, which takes the key's policy to compute. But that agreement never changes:
whoever read it once from the device's memory has it for ever, and the sealed object, new for each
installation, is what they lack. Source: spec/install-v1.md, "Install key".
"""

from __future__ import annotations

from modelkeep.keys.local import WRAPPED_BYTES, SecretLocalKey, not_ours
from modelkeep.keys.randomness import fill_random
from modelkeep.keys.tpm2.device import connected
from modelkeep.keys.tpm2.key_file import KeyFile
from modelkeep.keys.tpm2.sealed_object import SECRET_BYTES, SealedObject, seal, unseal
from modelkeep.memory import Pages


class TpmLocalKey:
    """See `LocalKey`; what it wraps is 40 bytes of key wrap, followed by the sealed object.

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
            both = self._agreement.mixed_with(secret.view)
        try:
            return both.wrap(key, context) + sealed.to_bytes()
        finally:
            both.close()

    def unwrap(self, wrapped: bytes, context: bytes) -> bytearray:
        """See `LocalKey.unwrap`."""
        sealed = SealedObject.from_bytes(wrapped[WRAPPED_BYTES:])
        if sealed is None:
            raise not_ours()
        with connected(self._tcti) as tpm, unseal(tpm, self._file, self._auth, sealed) as secret:
            both = self._agreement.mixed_with(secret.view)
        try:
            return both.unwrap(wrapped[:WRAPPED_BYTES], context)
        finally:
            both.close()

    def for_state(self) -> SecretLocalKey:
        """Returns the agreement alone: a state is nobody's secret, and is read too often to unseal."""
        return self._agreement

    def close(self) -> None:
        """Wipes the agreement."""
        self._agreement.close()
