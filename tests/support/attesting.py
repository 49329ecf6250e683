"""A device key in a TPM, what its device shows unasked, and how it answers."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelkeep.keys.registry import create_key
from modelkeep.posture.challenge import Challenge
from modelkeep.posture.evidence import Evidence
from support.swtpm import SoftwareTpm


class AttestedKey:
    """A P-256 key bound to PCR 7 in one TPM: `device_key` is what the probes take."""

    def __init__(self, tpm: SoftwareTpm) -> None:
        from modelkeep.keys.tpm2.key_file import KeyFile
        from modelkeep.probes.tpm2_evidence import DeviceKey

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "device.tpm"
            create_key(f"tpm2:{path}?tcti={tpm.tcti}")
            self.device_key = DeviceKey(KeyFile.read(path), tpm.tcti)
        self.point = self.device_key.point

    @property
    def policy(self) -> bytes:
        """The digest of the policy that the key carries."""
        from modelkeep.posture.tpm2.public_area import PublicArea

        return PublicArea.parse(self.device_key.file.public[2:], "device key").policy


def introduced(key: AttestedKey) -> Evidence:
    """Returns the evidence that a device gives of itself without being asked."""
    from modelkeep.probes.tpm2_evidence import introduce

    return introduce(key.device_key)


def answered(key: AttestedKey, challenge: Challenge, log: bytes = b"", **options: Any) -> Evidence:
    """Returns the evidence with which a device answers a question."""
    from modelkeep.probes.tpm2_evidence import answer

    return answer(key.device_key, challenge, log, **options)


def quoted_for(key: AttestedKey, challenge: Challenge, point: bytes) -> Evidence:
    """Returns what a TPM answers for the key of somebody else."""
    from modelkeep.probes import tpm2_evidence

    class Borrowed(tpm2_evidence.DeviceKey):
        """A key that pretends to be another."""

        @property
        def point(self) -> bytes:
            """The other's public key."""
            return point

    file = key.device_key
    honest = tpm2_evidence.answer(Borrowed(file.file, file.tcti), replace(challenge, credentials={}))
    assert honest.tpm is not None
    return honest
