"""Readers of what a guard goes by and tells."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from modelkeep.cli.guard_status import status_lines
from modelkeep.guard import Guard, Telemetry
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.profile_json import parse_profile
from support.guarded import MODEL, calibrated, measured
from support.pictures import pictures


def read_profile(data: bytes) -> None:
    """Reads a profile and writes it back."""
    profile = parse_profile(data)
    assert parse_profile(profile.to_bytes()).to_bytes() == profile.to_bytes()


def read_telemetry(data: bytes) -> None:
    """Reads what a guard counted, and says it in words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "telemetry.json")
        path.write_bytes(data)
        list(status_lines(Telemetry.load(path)))


READERS: Mapping[str, Callable[[bytes], None]] = {
    "guard profile": read_profile,
    "guard telemetry": read_telemetry,
}


def good_documents() -> Mapping[str, Sequence[bytes]]:
    """Returns good documents for every reader."""
    profile = _profile()
    guard = Guard(profile)
    for sample in (*pictures(4, seed=2), np.zeros_like(pictures(1, seed=2)[0])):
        guard.check_inputs({"x": sample})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "telemetry.json")
        telemetry = guard.telemetry()
        replace(telemetry, features=telemetry.features[:2]).save(path)
        return {"guard profile": [profile.to_bytes()], "guard telemetry": [path.read_bytes()]}


def _profile() -> GuardProfile:
    return calibrated(*measured(pictures(80, seed=1))).finish(MODEL, alpha=0.2, delta=0.2)
