"""From what the key stores of a device say to the best of them, and to what would be better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelkeep.keys.management import Level, StoreReport

# Among stores of one level: those that last and need nobody come first.
_PREFERRED = ("tpm2", "pkcs11", "systemd", "keyring", "kernel", "file")
_PASSING = ("kernel",)
_LEVELS = tuple(Level)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to use, and what to do for more.

    Attributes:
        best: the usable store of the highest level, or None; where there is another, none that forgets its
            keys at a restart.
        better: what to do to get a store of a higher level, one thing each.
    """

    best: StoreReport | None
    better: tuple[str, ...]


def advise(reports: Sequence[StoreReport], devices: Path = Path("/dev")) -> Advice:
    """Returns the advice that follows from what the stores say.

    Args:
        reports: what `examine_stores` returned.
        devices: where the kernel shows devices; a TEE is there although no store may know of it.
    """
    usable = [report for report in reports if report.usable and report.level is not None]
    best = max(usable, key=_rank, default=None)
    reached = -1 if best is None or best.level is None else _LEVELS.index(best.level)
    steps = [
        f"{report.scheme}{f' ({report.level.value})' if report.level else ''}: {_todo(report)}"
        for report in reports
        if not report.usable and (report.level is None or _LEVELS.index(report.level) > reached)
    ]
    if (devices / "tee0").exists() and reached < _LEVELS.index(Level.TEE):
        steps.append(
            f"pkcs11 (TEE): this device has a TEE, {devices / 'tee0'}; "
            "install OP-TEE's client and set PKCS11_MODULE to its libckteec.so"
        )
    if 0 <= reached < _LEVELS.index(Level.TPM) and not steps:
        steps.append("take a device with a TPM 2.0, a TEE, or a token")
    return Advice(best, tuple(steps))


def _rank(report: StoreReport) -> tuple[bool, int, int]:
    level = -1 if report.level is None else _LEVELS.index(report.level)
    place = _PREFERRED.index(report.scheme) if report.scheme in _PREFERRED else len(_PREFERRED)
    # What is granted to a key that goes with a restart goes with it.
    return report.scheme not in _PASSING, level, -place


def _todo(report: StoreReport) -> str:
    return f"{report.detail}; {report.advice}" if report.advice else report.detail
