"""Key store for ``systemd:NAME``: a credential that systemd decrypts for one service.

The unit says ``LoadCredentialEncrypted=NAME:FILE``; the key is then a file that the service alone can
read, in memory. systemd encrypts it to the TPM, to a secret of this host, or to both.
Source: systemd.exec(5), "Credentials"; systemd-creds(1).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.secret import check_device_id
from modelkeep.keys import software_key
from modelkeep.keys.management import Protection, StoreReport
from modelkeep.private_file import read_private

VARIABLE = "CREDENTIALS_DIRECTORY"
TOOL = "systemd-creds"


class CredentialStore:
    """Keys among the credentials of the running service."""

    def open(self, address: str) -> HpkeHandle:
        """Returns the key in a credential.

        Raises:
            UsageError: not a name for a device.
            KeyStoreError: not run by systemd with this credential, or it is no key for models.
            StorageError: the credential cannot be read.
        """
        path = _path(check_device_id(address))
        with read_private(str(path)) as content:
            return HpkeHandle(software_key.from_pem(content, f"systemd:{address}"), address)

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> NoReturn:
        """Refuses: systemd makes credentials.

        Raises:
            UsageError: always; the hint is the command to use.
        """
        name = check_device_id(address)
        raise UsageError(
            "credentials are made with systemd's own tool",
            hint=f"make a key file and run: systemd-creds encrypt --name={name} KEY.pem {name}.cred; "
            f"the unit says LoadCredentialEncrypted={name}:/PATH/{name}.cred",
        )

    def describe(self, address: str) -> dict[str, Any]:
        """Returns how the key is protected.

        Raises:
            UsageError, KeyStoreError, StorageError: as for `open`.
        """
        self.open(address).close()
        return {**_protection().described(), "lasts": "while the service runs"}

    def examine(self) -> StoreReport:
        """Returns whether systemd's tool is here."""
        if shutil.which(TOOL) is None:
            return StoreReport("systemd", False, Protection.SYSTEM, "systemd-creds is not installed")
        protection = _protection()
        to = "the TPM" if protection is Protection.SYSTEM else "a secret on the same disk, for lack of a TPM"
        detail = f"systemd encrypts credentials for services, to {to}"
        return StoreReport("systemd", True, protection, detail, "systemd-creds(1)")


def _protection() -> Protection:
    tool = shutil.which(TOOL)
    # As systemd-creds chooses on its own; --with-key= may have said otherwise for one credential.
    has_tpm = tool is not None and subprocess.run([tool, "has-tpm2", "--quiet"], check=False).returncode == 0
    return Protection.SYSTEM if has_tpm else Protection.ENCRYPTED


def _path(name: str) -> Path:
    folder = os.environ.get(VARIABLE)
    if not folder:
        raise KeyStoreError(
            "this process has no credentials of systemd",
            hint=f"start it as a service with LoadCredentialEncrypted={name}:FILE",
        )
    path = Path(folder, name)
    if not path.exists():
        raise KeyStoreError(
            f"the service has no credential {name!r}", hint="check its LoadCredentialEncrypted="
        )
    return path
