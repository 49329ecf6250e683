"""The install key: random, new for every installation, and useless without the device's state.

Source: spec/install-v1.md, "Install key".
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep.memory import Pages

INSTALL_KEY_BYTES = 32
_PAYLOAD_LABEL = b"modelkeep/v1/payload"


def payload_key(install_key: memoryview | bytearray, secret: bytes) -> Pages:
    """Returns the key material of the installed streams; the caller closes it.

    HKDF-SHA256(install key, salt = the installation's secret, info ``modelkeep/v1/payload``, 32).
    Destroying the secret in the device's state destroys the installation.
    """
    pages = Pages.allocate(32)
    HKDF(hashes.SHA256(), 32, secret, _PAYLOAD_LABEL).derive_into(install_key, pages.view)
    return pages
