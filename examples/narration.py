"""What the demonstrations say while they run, and what they note that is not as it should be."""

from __future__ import annotations

from collections.abc import Callable

_surprises: list[str] = []


def title(text: str) -> None:
    print(f"\n{text}")


def row(name: str, text: str) -> None:
    print(f"  {name:20} {text}")


def check(holds: bool, surprise: str) -> None:
    if not holds:
        _surprises.append(surprise)


def expect(what: str, kind: type[Exception], action: Callable[[], object]) -> None:
    """Has `action` refused in this way."""
    try:
        action()
    except kind as error:
        row(what, f"{type(error).__name__}: {error}")
    except Exception as error:  # shown at the end, after everything else was tried
        check(False, f"{what}: {type(error).__name__} instead of {kind.__name__}: {error}")
    else:
        check(False, f"{what} was accepted")


def conclude() -> int:
    """Says what was not as it should be, and returns the status to end with."""
    for surprise in _surprises:
        print(f"NOT AS EXPECTED: {surprise}")
    return 1 if _surprises else 0
