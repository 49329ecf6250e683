"""Lines of a device list, and the grants that they come to: what each of many processes works on.

It stands alone so that a process which is started for it imports little else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from modelkeep.errors import KeepError, MalformedError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.device_list import parse_device
from modelkeep.grants.issuer import GrantIssuer
from modelkeep.grants.secret import SECRET_BYTES
from modelkeep.memory import wiped

# The number of a line in its file, counting from 1, and the line.
Line = tuple[int, bytes]
Meaning = TypeVar("Meaning")

_issuer: GrantIssuer | None = None


def read(line: Line, meaning: Callable[[bytes], Meaning]) -> Meaning:
    """Returns what `meaning` makes of a line, for example `device_list.parse_device`.

    Raises:
        MalformedError: it raised an error of ours; the message says where.
    """
    number, text = line
    try:
        return meaning(text)
    except KeepError as error:
        raise MalformedError(f"device list: line {number}: {error}", hint=error.hint) from None


def issued(issuer: GrantIssuer, lines: Iterable[Line]) -> list[bytes]:
    """Returns a grant for each line, encoded, unsigned.

    Raises:
        MalformedError: a line names no device, or one that nothing can be granted to; the message says which.
    """
    with wiped(SECRET_BYTES) as secret:
        grant = partial(_grant, issuer, secret)
        return [read(line, grant) for line in lines]


def start(bundle: bytes, data_key: bytes, terms: Constraints) -> None:
    """Makes this process one that issues grants of one bundle; see `GrantIssuer`."""
    global _issuer  # noqa: PLW0603 - how a worker process keeps what it was started with
    _issuer = GrantIssuer(bundle, DataKey.from_buffer(bytearray(data_key)), terms)


def run(lines: list[Line]) -> list[bytes]:
    """Returns what `issued` does, in a process that was started with `start`."""
    assert _issuer is not None
    return issued(_issuer, lines)


def _grant(issuer: GrantIssuer, secret: bytearray, line: bytes) -> bytes:
    device = parse_device(line)
    return issuer.encoded(device.recipient, device.constraints, secret)
