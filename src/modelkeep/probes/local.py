"""Everything that this device finds out about itself: against mistakes, not against whoever has root."""

from __future__ import annotations

from pathlib import Path

from modelkeep.posture.finding import Finding, FindingValue
from modelkeep.probes import block_device, kernel, memory, tpm2_state, uefi
from modelkeep.probes.system import System


def local_findings(
    system: System | None = None, *, model: Path | None = None, root_hash: str | None = None
) -> tuple[Finding, ...]:
    """Returns what this device finds out about itself; all of it is claimed.

    Args:
        system: the running system; this one by default.
        model: a file whose own device is looked at, too.
        root_hash: the dm-verity root hash that this device must have, in hexadecimal.

    Raises:
        OSError: `model` is not there.
    """
    system = system or System()
    simple = (uefi, kernel, memory, tpm2_state)
    found = [finding for probe in simple for finding in probe.findings(system)]
    return (*found, *block_device.findings(system, model, root_hash))


def posture_names(findings: tuple[Finding, ...]) -> frozenset[str]:
    """Returns the names of those findings that are as one wishes, which grants can ask for by name."""
    return frozenset(finding.name for finding in findings if finding.value is True)


def claims(findings: tuple[Finding, ...]) -> dict[str, FindingValue]:
    """Returns findings as what an evidence document calls claims."""
    return {finding.name: finding.value for finding in findings}
