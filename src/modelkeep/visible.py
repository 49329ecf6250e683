"""Text as people see it: what is not drawn, or steers what draws it, is written as an escape."""

from __future__ import annotations

# Letters and marks by their kind, and nothing on a screen: fillers, joiners, selectors of variants, a blank.
_UNDRAWN = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)


def visible(text: str) -> str:
    """Returns `text` with whatever nobody would see escaped: names in files must not steer a terminal."""
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() and character not in _UNDRAWN:
        return character
    return character.encode("unicode_escape").decode()
