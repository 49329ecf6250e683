"""Do the libraries here compute with a module that runs as FIPS 140 asks? They say so by what they refuse.

OpenSSL's FIPS provider has no MD5, so that a library which computes it does not use that provider, or not
alone. The kernel's switch asks libraries to use theirs, and proves nothing of them.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.backends.openssl.backend import backend
from cryptography.hazmat.primitives import hashes

from modelkeep.probes.system import System

_SWITCH = "proc/sys/crypto/fips_enabled"


@dataclass(frozen=True, slots=True)
class FipsReport:
    """What a part says of FIPS.

    Attributes:
        name: the kernel, or a library.
        in_force: whether it computes approved algorithms only.
        detail: which one it is, and how that was found.
    """

    name: str
    in_force: bool
    detail: str


def fips_reports(system: System | None = None) -> tuple[FipsReport, ...]:
    """Returns what kernel and libraries say; `system` is this one by default."""
    return (
        _kernel((system or System()).text(_SWITCH)),
        _library("cryptography", backend.openssl_version_text(), _computes_md5_in_cryptography),
        _library("hashlib", ssl.OPENSSL_VERSION, _computes_md5_in_hashlib),
        FipsReport("blake3", False, "no approved algorithm, in no validated module"),
    )


def _kernel(switch: str | None) -> FipsReport:
    said = "has no switch for it" if switch is None else f"/{_SWITCH} is {switch[:8]}"
    return FipsReport("kernel", switch == "1", said)


def _library(name: str, version: str, computes_md5: Callable[[], bool]) -> FipsReport:
    refused = not computes_md5()
    how = "refuses MD5, as the FIPS provider does" if refused else "computes MD5, so not the FIPS provider"
    return FipsReport(name, refused, f"{version}: {how}")


def _computes_md5_in_cryptography() -> bool:
    try:
        hashes.Hash(hashes.MD5())  # noqa: S303 - to see whether it is refused
    except UnsupportedAlgorithm:
        return False
    return True


def _computes_md5_in_hashlib() -> bool:
    try:
        hashlib.md5()  # noqa: S324 - to see whether it is refused
    except ValueError:
        return False
    return True
