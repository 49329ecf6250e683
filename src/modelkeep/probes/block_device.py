"""The block devices below a file: which are verified, which are encrypted.

The kernel's device mapper names what it does in a device's uuid. Its dm-verity finds a bad block when that
block is read and not before, so that a status without fault is no proof.
Source: Linux, Documentation/admin-guide/device-mapper/verity.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelkeep.posture.finding import Finding, claimed
from modelkeep.probes.system import System

_VERITY, _ENCRYPTED = "CRYPT-VERITY-", ("CRYPT-LUKS", "CRYPT-PLAIN")
_UNTIL_READ = "true until a bad block is read"
_DEEPEST = 8
_PATIENCE = 10


@dataclass(frozen=True, slots=True)
class Verity:
    """What the kernel says of a dm-verity device.

    Attributes:
        root_hash: digest of the whole device, in hexadecimal.
        valid: no bad block was read so far.
    """

    root_hash: str
    valid: bool


def findings(system: System, model: Path | None = None, root_hash: str | None = None) -> Iterator[Finding]:
    """Yields ``root-verity`` and ``root-encrypted``, and the same for where `model` lies.

    Args:
        system: the running system.
        model: a file, or None.
        root_hash: the digest that the model's device must have, in hexadecimal; None accepts any.
    """
    yield from _device(system, "root", Path("/"), None)
    if model is not None:
        yield from _device(system, "model", model, root_hash)


def parse_verity(table: str, status: str) -> Verity | None:
    """Returns what a line of ``dmsetup table`` and one of ``dmsetup status`` say of a verity device.

    Args:
        table: ``0 SIZE verity 1 DATA HASH BLOCK BLOCK BLOCKS START ALGORITHM ROOT SALT ...``.
        status: ``0 SIZE verity V`` or ``... C`` for a device that had a bad block.
    """
    described, stated = table.split(), status.split()
    if len(described) < 13 or described[2:4] != ["verity", "1"] or len(stated) < 4:
        return None
    return Verity(described[11].lower(), stated[2:4] == ["verity", "V"])


def _device(system: System, name: str, path: Path, root_hash: str | None) -> Iterator[Finding]:
    layers = list(_layers(system, _number(path)))
    uuids = [system.text(f"sys/dev/block/{layer}/dm/uuid") or "" for layer in layers]
    verified = next((at for at, uuid in zip(layers, uuids, strict=True) if uuid.startswith(_VERITY)), None)
    yield _verified(system, f"{name}-verity", verified, root_hash)
    yield claimed(f"{name}-encrypted", any(uuid.startswith(_ENCRYPTED) for uuid in uuids))


def _verified(system: System, name: str, layer: str | None, root_hash: str | None) -> Finding:
    if layer is None:
        return claimed(name, False, "not on a dm-verity device")
    verity = _ask(system.text(f"sys/dev/block/{layer}/dm/name") or "")
    if verity is None:
        return claimed(name, False, "dmsetup does not say which root hash; it needs root")
    if root_hash is not None and verity.root_hash != root_hash.lower():
        return claimed(name, False, f"another root hash: {verity.root_hash}")
    return claimed(name, verity.valid, f"root hash {verity.root_hash}, {_UNTIL_READ}")


def _number(path: Path) -> str:
    device = path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def _layers(system: System, number: str) -> Iterator[str]:
    """Yields the device and those below it."""
    found = [number]
    for _ in range(_DEEPEST):
        if not found:
            return
        yield from found
        found = [
            below
            for each in found
            for name in system.names(f"sys/dev/block/{each}/slaves")
            if (below := system.text(f"sys/dev/block/{each}/slaves/{name}/dev"))
        ]


def _ask(name: str) -> Verity | None:
    command = shutil.which("dmsetup", path=os.defpath + ":/sbin:/usr/sbin")
    if command is None or not name:
        return None
    answers = [_answer(command, verb, name) for verb in ("table", "status")]
    return parse_verity(*answers)


def _answer(command: str, verb: str, name: str) -> str:
    try:
        done = subprocess.run(
            [command, verb, name], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
