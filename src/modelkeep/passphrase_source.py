"""Where passphrases come from: a variable, a file or the terminal; never the command line.

A passphrase is the exact bytes given, without the one line ending that a file may have.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.key_address import parse_address
from modelkeep.memory import Pages, wiped
from modelkeep.private_file import check_owner, check_private
from modelkeep.storage import words_for

LONGEST_PASSPHRASE = 1024
FILE_OPTIONS = frozenset({"passphrase-env", "passphrase-file"})


def from_variable(name: str) -> Pages:
    """Returns the content of environment variable `name`; the caller closes it.

    Raises:
        KeyStoreError: the variable is not set, or empty.
    """
    value = os.environb.get(name.encode())
    if value is None:
        raise KeyStoreError(f"environment variable {name!r} is not set")
    return keep(memoryview(value))


def from_file(path: str) -> Pages:
    """Returns the content of a file or pipe; the caller closes it.

    Raises:
        StorageError: cannot be read.
        KeyStoreError: empty, longer than 1024 bytes, or not private.
    """
    with wiped(LONGEST_PASSPHRASE + 3) as buffer, memoryview(buffer) as view:
        filled = 0
        with words_for(path), Path(path).open("rb", buffering=0) as file:
            _check(path, file.fileno())
            while count := file.readinto(view[filled:]):
                filled += count
        return keep(view[: filled - _line_ending(buffer, filled)])


def _check(path: str, descriptor: int) -> None:
    # A pipe is how shells hand over what another program prints, and has no mode that would matter.
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        check_private(path, descriptor)
    else:
        check_owner(path, descriptor)


def from_terminal(
    what: str = "passphrase", otherwise: str = "use passphrase:?file=PATH or ?env=NAME"
) -> Pages:
    """Asks for a passphrase on the terminal; the caller closes it.

    Args:
        what: what it is called where it is asked for.
        otherwise: what to do where there is no terminal.

    Raises:
        KeyStoreError: there is no terminal, or nothing was typed.
    """
    if not sys.stdin.isatty():
        raise KeyStoreError(f"there is no terminal to ask for the {what}", hint=otherwise)
    from getpass import getpass

    return keep(memoryview(getpass(f"{what}: ").encode()))


def keep(passphrase: memoryview) -> Pages:
    """Returns a copy of `passphrase` in memory that is wiped when it is closed or collected.

    Raises:
        KeyStoreError: empty, or longer than 1024 bytes.
    """
    if not len(passphrase):
        raise KeyStoreError("the passphrase is empty")
    if len(passphrase) > LONGEST_PASSPHRASE:
        raise KeyStoreError(f"the passphrase is longer than {LONGEST_PASSPHRASE} bytes")
    pages = Pages.allocate(len(passphrase))
    pages.view[:] = passphrase
    return pages


def choose(options: Mapping[str, str], *, env: str, file: str) -> Pages | None:
    """Returns the passphrase that the options `env` or `file` of an address lead to, or None.

    Raises:
        UsageError: both are given.
        KeyStoreError: there is no usable passphrase at that place.
    """
    if env in options and file in options:
        raise UsageError(f"key address: give either {env!r} or {file!r}")
    if env in options:
        return from_variable(options[env])
    if file in options:
        return from_file(options[file])
    return None


def of_file(address: str) -> tuple[str, Pages | None]:
    """Returns the path of a key file, and its passphrase where the address says where that is.

    Args:
        address: ``PATH``, ``PATH?passphrase-file=PATH`` or ``PATH?passphrase-env=NAME``.

    Raises:
        UsageError: the address is not of this form.
        KeyStoreError: there is no usable passphrase at that place.
        StorageError: its file cannot be read.
    """
    parsed = parse_address(address, FILE_OPTIONS)
    return parsed.path, choose(parsed.options, env="passphrase-env", file="passphrase-file")


def _line_ending(buffer: bytearray, end: int) -> int:
    if buffer.endswith(b"\r\n", 0, end):
        return 2
    return int(buffer.endswith(b"\n", 0, end))
