"""What was checked when something sealed was opened, and what could not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelkeep.bundle.unlocked import Unlocked
from modelkeep.inner_manifest import Entry
from modelkeep.memory import MemoryReport

if TYPE_CHECKING:
    from modelkeep.isolation import Hardening


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked when a session was opened, and what could not be.

    Attributes:
        model: the model's id.
        release: version for people, may be empty.
        epoch: release counter of the model.
        size: bytes of the model's files.
        bundle: the bundle's id in hexadecimal.
        signer: who signed, or None when an unsigned bundle was let in.
        device_id: the name under which the grant was issued, may be empty.
        not_after: last second at which the grant counts, or None.
        installed: whether this is an installation of this device.
        memory: how the weights are held.
        hardening: what the process of an isolated model has given up, or None in this process.
        notes: what a careful reader should know, in words.
    """

    model: str
    release: str
    epoch: int
    size: int
    bundle: str
    signer: str | None
    device_id: str
    not_after: int | None
    installed: bool
    memory: MemoryReport
    hardening: Hardening | None
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        signer = self.signer or "nobody"
        return f"<Report of {self.model}, epoch {self.epoch}, signed by {signer}; {len(self.notes)} notes>"


def opening_report(
    bundle: Unlocked, chosen: Entry, held: MemoryReport, hardening: Hardening | None
) -> Report:
    """Returns the report on an opening.

    Args:
        bundle: what was opened.
        chosen: the entry that runs.
        held: how the weights are held.
        hardening: what the process of an isolated model has given up, or None in this process.
    """
    manifest, provenance = bundle.manifest, bundle.provenance
    return Report(
        model=manifest.model,
        release=manifest.release,
        epoch=manifest.epoch,
        size=sum(member.size for member in manifest.members),
        bundle=manifest.bundle.hex(),
        signer=None if provenance.signer is None else str(provenance.signer),
        device_id=provenance.device_id,
        not_after=provenance.constraints.not_after,
        installed=provenance.installed,
        memory=held,
        hardening=hardening,
        notes=tuple(_notes(bundle, chosen, held, hardening)),
    )


def _notes(bundle: Unlocked, chosen: Entry, held: MemoryReport, hardening: Hardening | None) -> list[str]:
    notes = []
    if bundle.provenance.signer is None:
        notes.append("the publisher was not checked: anybody could have made this bundle")
    if held.unlocked_bytes:
        notes.append(f"{held.unlocked_bytes} bytes of the model may be swapped out (raise RLIMIT_MEMLOCK)")
    if bundle.provenance.constraints.not_after is not None:
        notes.append("expiry is advisory: the clock of this device is not protected")
    if chosen.contract is None:
        notes.append(f"inputs are not checked: neither {chosen.format} files nor the publisher describe them")
    if hardening is not None:
        notes += [f"the isolated process is not hardened in full: {each}" for each in hardening.missing]
    return notes
