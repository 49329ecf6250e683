"""The result of judging evidence: who the device is, what is proven, how fresh it is, why it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelkeep.errors import PostureError
from modelkeep.posture.finding import Finding


@dataclass(frozen=True, slots=True)
class Facts:
    """What a policy looks at.

    Attributes:
        findings: what was found, by name.
        age: seconds since the device was asked; None where nobody asked it.
    """

    findings: Mapping[str, Finding]
    age: int | None

    @staticmethod
    def of(findings: tuple[Finding, ...], age: int | None) -> Facts:
        """Returns the facts that findings make; of two by one name, the proven one counts."""
        ordered = sorted(findings, key=lambda finding: finding.proven)
        return Facts({finding.name: finding for finding in ordered}, age)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a device's evidence comes to.

    Attributes:
        device_key: the device's public key (65 bytes, uncompressed point); empty if it cannot be read.
        hardware: what it is in, for example ``tpm:`` and the endorsement key's digest; may be empty.
        findings: what was found.
        age: seconds since the device was asked; None where nobody asked it.
        refusals: why it is refused, in words; empty if it is accepted.
    """

    device_key: bytes
    hardware: str
    findings: tuple[Finding, ...]
    age: int | None
    refusals: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether the device proved what the policy asks for."""
        return not self.refusals

    def require(self) -> None:
        """Passes an accepted device.

        Raises:
            PostureError: it is refused; the message has every reason.
        """
        if self.refusals:
            raise PostureError("the device is refused: " + "; ".join(self.refusals))

    def to_json(self) -> dict[str, Any]:
        """Returns the verdict as a JSON object, for people and logs: it is not signed."""
        return {
            "accepted": self.accepted,
            "device_key": self.device_key.hex(),
            "hardware": self.hardware,
            "age": self.age,
            "refusals": list(self.refusals),
            "findings": [finding_json(each) for each in self.findings],
        }


def finding_json(finding: Finding) -> dict[str, Any]:
    """Returns a finding as a JSON object."""
    value = list(finding.value) if isinstance(finding.value, tuple) else finding.value
    return {"name": finding.name, "value": value, "standing": finding.standing.value, "why": finding.why}
