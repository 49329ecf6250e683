"""What packages register under a group of entry points: this package's own first.

To read what every installed package registers takes milliseconds, so that is done for names which this
package does not have. It also means that no other package can take one of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, PackageNotFoundError, distribution, entry_points

from modelkeep.errors import RuntimeMissingError

_PACKAGE = "modelkeep"


def find(group: str, name: str) -> tuple[EntryPoint, ...]:
    """Returns what is registered under a name: ours, or what other packages offer, each value once."""
    own = _own(group).select(name=name)
    points = {point.value: point for point in own or entry_points(group=group, name=name)}
    return tuple(points.values())


def own(group: str) -> tuple[EntryPoint, ...]:
    """Returns what this package registers, by name; that costs nothing."""
    return tuple(sorted(_own(group), key=lambda point: point.name))


def every(group: str) -> Iterator[EntryPoint]:
    """Yields everything that is registered, by name: ours first, then what other packages add."""
    own = _own(group)
    yield from sorted(own, key=lambda point: point.name)
    others = (point for point in entry_points(group=group) if point.name not in own.names)
    yield from sorted(others, key=lambda point: point.name)


def load(point: EntryPoint, what: str) -> object:
    """Returns what is registered, a `what`.

    Raises:
        RuntimeMissingError: its package cannot be imported.
    """
    try:
        loaded: object = point.load()
    except (ImportError, AttributeError) as error:
        raise RuntimeMissingError(
            f"{what} {point.name}: cannot be imported", hint=f"install the package of {point.value}"
        ) from error
    return loaded


def _own(group: str) -> EntryPoints:
    return _registered().get(group, EntryPoints())


@cache
def _registered() -> dict[str, EntryPoints]:
    try:
        points = distribution(_PACKAGE).entry_points
    except PackageNotFoundError:  # imported from where it was not installed
        return {}
    return {group: points.select(group=group) for group in points.groups}
