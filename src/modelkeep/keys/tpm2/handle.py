"""A key in a TPM with what goes with it: its counter, and what it keeps for installations."""

from __future__ import annotations

from modelkeep.device.local_key import LocalKey
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.secret import device_id_of
from modelkeep.keys.point import point_of
from modelkeep.keys.tpm2.address import TpmAddress
from modelkeep.keys.tpm2.key import TpmKey, public_key_of
from modelkeep.keys.tpm2.key_counter import KeyCounter
from modelkeep.keys.tpm2.key_file import KeyFile
from modelkeep.keys.tpm2.local import TpmLocalKey
from modelkeep.memory import Pages


class TpmHandle(HpkeHandle):
    """A private key in a TPM that opens HPKE grants.

    Args:
        address: where the key file is, and how the TPM is reached.
        key_file: which key.
        auth: the key's passphrase, which this object owns, or None.

    Raises:
        MalformedError: the key file holds no P-256 key, or one that could leave its TPM.
    """

    def __init__(self, address: TpmAddress, key_file: KeyFile, auth: Pages | None = None) -> None:
        self._file = key_file
        self._tcti = address.tcti
        self._auth = auth
        super().__init__(
            TpmKey(key_file, address.tcti, auth),
            device_id_of(address.path),
            counter_of(key_file, address.tcti),
        )

    def close(self) -> None:
        """Forgets the key, and wipes its passphrase."""
        super().close()
        if self._auth is not None:
            self._auth.close()

    def local_key(self) -> LocalKey:
        """Returns the local key that takes a sealed object for each installation besides the agreement.

        Raises:
            KeyStoreError: the key was closed, the TPM cannot be reached, or the policy is not met.
        """
        return TpmLocalKey(self._agreement(), self._file, self._tcti, self._auth)


def counter_of(key_file: KeyFile, tcti: str) -> KeyCounter:
    """Returns the counter that goes with a key."""
    return KeyCounter(point_of(public_key_of(key_file)), tcti)
