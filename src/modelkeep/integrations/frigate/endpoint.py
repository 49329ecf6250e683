"""Where a detector is asked: a socket in the file system, or a port of this machine.

Whoever reaches it gets answers without saying who he is; ZeroMQ as Frigate speaks it has no other way. So
nobody reaches it by mistake.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from modelkeep.errors import StorageError, UnavailableError, UsageError
from modelkeep.storage import lock_now, words_for

# What fits into the kernel's address of a socket.
_LONGEST_PATH = 107
_PORT = re.compile(r"tcp://(?P<host>[0-9A-Za-z.*:_\-\[\]]+):(?P<port>[1-9][0-9]{0,4})")
_HIGHEST_PORT = 2**16 - 1
_ROOT = 0
_HINT = "for example ipc:///run/modelkeep/frigate.sock or tcp://127.0.0.1:5555"


class Endpoint(NamedTuple):
    """An address as ZeroMQ writes it.

    Attributes:
        address: the whole.
        path: of the socket in the file system; None where it is a port.
    """

    address: str
    path: Path | None


def default_address() -> str:
    """Returns where a detector is asked unless somebody says otherwise."""
    return f"ipc://{os.environ.get('XDG_RUNTIME_DIR') or '/run'}/modelkeep-frigate.sock"


def endpoint_of(address: str, *, unsafe_network: bool = False) -> Endpoint:
    """Returns the endpoint at an address.

    Args:
        address: ``ipc:///PATH`` or ``tcp://HOST:PORT``.
        unsafe_network: let others than this machine ask, too.

    Raises:
        UsageError: another kind of address, or one that others than this machine reach.
    """
    if address.startswith("ipc://"):
        return Endpoint(address, _socket_path(address.removeprefix("ipc://")))
    match = _PORT.fullmatch(address)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        raise UsageError(f"{address!r} is no address to be asked at", hint=_HINT)
    if not unsafe_network and not _is_loopback(match["host"]):
        raise UsageError(
            f"whoever reaches {address} could ask the model, without saying who he is",
            hint="tcp://127.0.0.1:PORT or ipc:///PATH; --unsafe-network where all who reach it may",
        )
    return Endpoint(address, None)


def _socket_path(text: str) -> Path:
    path = Path(text)
    # Sockets without a file can be reached by every account of the machine.
    if not path.is_absolute() or "\0" in text:
        raise UsageError(f"ipc://{text}: name the whole path of a file", hint=_HINT)
    if len(os.fsencode(text)) > _LONGEST_PATH:
        raise UsageError(f"{text}: sockets have paths of at most {_LONGEST_PATH} bytes", hint="a shorter one")
    return path


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name, which may come to mean something else
        return False


@contextlib.contextmanager
def taken(endpoint: Endpoint) -> Iterator[None]:
    """Keeps an endpoint from other servers for the length of a `with` block.

    ZeroMQ removes whatever file it finds where a socket is to be, one that another server answers at, too.

    Raises:
        UnavailableError: another server answers there.
        UsageError: something else than a socket is there.
        StorageError: the folder cannot be written, or others may change what is in it.
    """
    if endpoint.path is None:
        yield
        return
    with words_for(endpoint.path):
        _check_folder(endpoint.path.parent)
        descriptor = os.open(
            endpoint.path.with_name(f"{endpoint.path.name}.lock"),
            os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW,
            0o600,
        )
    try:
        lock_now(descriptor, _held(endpoint.path))
        _check_place(endpoint.path)
        yield
        endpoint.path.unlink(missing_ok=True)  # ZeroMQ leaves it
    finally:
        os.close(descriptor)


def _check_folder(folder: Path) -> None:
    status = folder.stat()
    # Its owner may replace what is in it, whatever the mode.
    is_ours = status.st_uid in (_ROOT, os.geteuid())
    if not is_ours or (status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX):
        raise StorageError(
            f"{folder}: others may put a socket of their own there, and get the pictures",
            hint="choose a folder that this account alone may write",
        )


def _held(path: Path) -> UnavailableError:
    return UnavailableError(
        f"{path}: another server answers there", hint="end it first, or choose another --endpoint"
    )


def _check_place(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UsageError(f"{path}: a file is there that is no socket", hint="choose another --endpoint")


@contextlib.contextmanager
def private_sockets() -> Iterator[None]:
    """Has sockets that are made in a `with` block belong to this account alone, from the first moment."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)
