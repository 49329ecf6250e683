"""Lines of a device list, and the grants that they come to: what each of many processes works on.

It stands alone so that a process which is started for it imports little else.
"""

from __future__ import annotations

from collections.abc import Iterable

from modelkeep.errors import KeepError, MalformedError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.device_list import Entry, ListedDevice, parse_device, read_device
from modelkeep.grants.issuer import GrantIssuer
from modelkeep.grants.secret import SECRET_BYTES
from modelkeep.memory import wiped

# The number of a line in its file, counting from 1, and the line.
Line = tuple[int, bytes]

_issuer: GrantIssuer | None = None


def device_of(line: Line) -> ListedDevice:
    """Returns the device that a line names.

    Raises:
        MalformedError: it names none; the message says where.
    """
    try:
        return parse_device(line[1])
    except KeepError as error:
        raise fault(line[0], error) from None


def entry_of(line: Line) -> Entry:
    """Returns what a line says; the device's key is not looked into.

    Raises:
        MalformedError: it says nothing; the message says where.
    """
    try:
        return read_device(line[1])
    except KeepError as error:
        raise fault(line[0], error) from None


def fault(number: int, error: KeepError) -> MalformedError:
    """Returns what `error` means for the list, of which it concerns line `number`."""
    return MalformedError(f"device list: line {number}: {error}", hint=error.hint)


def issued(issuer: GrantIssuer, lines: Iterable[Line]) -> list[bytes]:
    """Returns a grant for each line, encoded, unsigned.

    Raises:
        MalformedError: a line names no device, or one that nothing can be granted to; the message says which.
    """
    with wiped(SECRET_BYTES) as secret:
        return [_grant(issuer, line, secret) for line in lines]


def start(bundle: bytes, data_key: bytes, terms: Constraints) -> None:
    """Makes this process one that issues grants of one bundle; see `GrantIssuer`."""
    global _issuer  # noqa: PLW0603 - how a worker process keeps what it was started with
    _issuer = GrantIssuer(bundle, DataKey.from_buffer(bytearray(data_key)), terms)


def run(lines: list[Line]) -> list[bytes]:
    """Returns what `issued` does, in a process that was started with `start`."""
    assert _issuer is not None
    return issued(_issuer, lines)


def _grant(issuer: GrantIssuer, line: Line, secret: bytearray) -> bytes:
    device = device_of(line)
    try:
        return issuer.encoded(device.recipient, device.constraints, secret)
    except KeepError as error:
        raise fault(line[0], error) from None
