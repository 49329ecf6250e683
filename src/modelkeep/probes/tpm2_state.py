"""The TPM of this device as the kernel shows it: is there one, and does the event log lead to its PCRs?"""

from __future__ import annotations

from collections.abc import Iterator

from modelkeep.errors import MalformedError
from modelkeep.posture.finding import Finding, claimed
from modelkeep.posture.tpm2 import event_log
from modelkeep.probes.system import System

EVENT_LOG = "sys/kernel/security/tpm0/binary_bios_measurements"

_TPM = "sys/class/tpm/tpm0"
_PCRS = range(8)


def findings(system: System) -> Iterator[Finding]:
    """Yields ``tpm`` and ``measured-boot``."""
    version = system.text(f"{_TPM}/tpm_version_major")
    yield claimed("tpm", version == "2", "none" if version is None else f"version {version}")
    if version == "2":
        yield _measured(system)


def values(system: System) -> dict[int, bytes]:
    """Returns PCR values (32 bytes each, SHA-256 bank) that the kernel shows."""
    shown = {index: system.text(f"{_TPM}/pcr-sha256/{index}") for index in _PCRS}
    return {index: bytes.fromhex(text) for index, text in shown.items() if text and len(text) == 64}


def _measured(system: System) -> Finding:
    log, shown = system.data(EVENT_LOG), values(system)
    if log is None:
        return claimed("measured-boot", False, "the event log cannot be read; it needs root")
    try:
        explained = event_log.explained(event_log.parse(log), shown)
    except MalformedError as error:
        return claimed("measured-boot", False, str(error))
    unexplained = sorted(set(shown) - set(explained))
    why = (
        f"the log does not lead to PCR {', '.join(map(str, unexplained))}"
        if unexplained
        else "all of PCR 0-7"
    )
    return claimed("measured-boot", bool(shown) and not unexplained, why)
