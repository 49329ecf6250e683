"""UEFI: does firmware refuse boot loaders that nobody signed? Source: UEFI 2.10, section 32; efivarfs."""

from __future__ import annotations

from collections.abc import Iterator

from modelkeep.posture.finding import Finding, claimed
from modelkeep.probes.system import System

_FOLDER = "sys/firmware/efi/efivars"
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"


def findings(system: System) -> Iterator[Finding]:
    """Yields ``secure-boot``: on, and no more waiting for its first key."""
    if not system.names("sys/firmware/efi"):
        yield claimed("secure-boot", False, "this system was not started by UEFI firmware")
        return
    on, setup = _switch(system, "SecureBoot"), _switch(system, "SetupMode")
    yield claimed("secure-boot", (on, setup) == (1, 0), f"SecureBoot {_word(on)}, SetupMode {_word(setup)}")


def _switch(system: System, name: str) -> int | None:
    # Four bytes of attributes, then the value.
    data = system.data(f"{_FOLDER}/{name}-{_GLOBAL}")
    return data[4] if data is not None and len(data) == 5 else None


def _word(value: int | None) -> str:
    return "unknown" if value is None else str(value)
