"""Settings in place of what was not typed: what is typed counts before all of them."""

from __future__ import annotations

from modelkeep.settings import THRESHOLD, TRUST

# Set as `typing` would: what every command imports is kept cheap.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from modelkeep.settings import Found

# With these, somebody else is trusted, or nobody: of whom settings say nothing.
_ANOTHER_WAY = ("apple", "identity", "signature")
_INSTEAD = ("unsafe_unsigned", *_ANOTHER_WAY)


def options_of(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """Returns which settings count for the options of a parser."""
    options = parser._option_string_actions
    wanted: tuple[str, ...] = ()
    if "--key" in options and options["--key"].required:
        wanted += ("key",)
    if "--trust-root" in options and "--unsafe-unsigned" in options:
        wanted += (*TRUST, "model-id")
    if "--signer" in options and "--unsafe-unsigned" in options:
        wanted += ("signer",)
    return wanted


def fill(parsed: argparse.Namespace, found: Found) -> list[str]:
    """Puts settings where nothing was typed; returns what was put, with its origin, in words.

    Whom to trust is one thing: whoever types a part of it types all.
    """
    typed = {name for name in found if _is_typed(parsed, name)}
    if typed & set(TRUST) or any(getattr(parsed, name, None) for name in _INSTEAD):
        typed |= set(TRUST)
    if any(getattr(parsed, name, None) for name in _ANOTHER_WAY):
        typed.add("model-id")  # of what is checked then, nobody says which model it is
    if getattr(parsed, "unsafe_unsigned", False):
        typed.add("signer")
    taken = {name: each for name, each in found.items() if name not in typed}
    for name, (value, _) in taken.items():
        setattr(parsed, _attribute(name), value)
    return [f"{name} of {origin}" for name, (_, origin) in taken.items()]


def _is_typed(parsed: argparse.Namespace, name: str) -> bool:
    untouched: tuple[Any, ...] = (None, [], 1) if name == THRESHOLD else (None, [])
    return getattr(parsed, _attribute(name), None) not in untouched


def _attribute(name: str) -> str:
    return name.replace("-", "_")
