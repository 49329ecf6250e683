"""Words for what was found in inputs, which may be objects of any kind."""

from __future__ import annotations

_LONGEST_NAME = 200


def kind(value: object) -> str:
    """Returns the name of an object's type."""
    # Asked of `type` itself, since a metaclass can make `__name__` raise or lie.
    return printable(type.__dict__["__name__"].__get__(type(value)))


def printable(name: str) -> str:
    """Returns a name as it may be shown."""
    return name if name.isprintable() and len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]!a}"


def rounded_percent(share: float) -> str:
    """Returns a share in percent, with two digits; all of it is 100."""
    rate = 100 * share
    return f"{rate:.2g} %" if rate < 99.5 else f"{rate:.0f} %"
