"""What need not be typed or passed at every call: whose key, whom to trust, which model.

The environment (``MODELKEEP_TRUST_ROOT=...``; several are separated as in ``PATH``) counts before the user's
file ``modelkeep/config.toml`` (XDG). Nothing that weakens a check can be set.
Imported by every command that has such options, so kept cheap; the file is read with them alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from modelkeep.errors import StorageError, UsageError

# Set as `typing` would: what every command imports is kept cheap.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Found = dict[str, tuple[Any, str]]

FILE_VARIABLE = "MODELKEEP_CONFIG"
THRESHOLD = "trust-threshold"
_LISTS = ("trust", "trust-root", "time-authority")
TRUST = ("trust", "trust-root", THRESHOLD, "subject", "second-trust", "time-authority")
NAMES = ("key", *TRUST, "model-id", "signer")
_LARGEST = 2**16
_MOST_DIGITS = 9


def find(names: tuple[str, ...]) -> Found:
    """Returns value and origin of each of these settings that is there.

    Raises:
        UsageError: the file is not of its form, or sets what cannot be set.
        StorageError: it cannot be read, or is somebody else's to change.
    """
    if not names:
        return {}
    found = _from_file()
    for name in NAMES:
        variable = variable_of(name)
        if text := os.environ.get(variable):
            found[name] = (_of_text(name, text), variable)
    return {name: found[name] for name in names if name in found}


def variable_of(name: str) -> str:
    """Returns the environment's variable for a setting."""
    return f"MODELKEEP_{name.replace('-', '_').upper()}"


def _of_text(name: str, text: str) -> Any:
    if name in _LISTS:
        return text.split(os.pathsep)
    if name != THRESHOLD:
        return text
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise UsageError(f"{name} is a number", hint="for example 2")
    return int(text)


def _from_file() -> Found:
    path = _place()
    if path is None:
        return {}
    # Most have no such file, and most commands need no more of files than this.
    from modelkeep.storage import opened

    with opened(path) as file:
        _check_owner(path, os.fstat(file.fileno()))
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise StorageError(f"{path}: larger than {_LARGEST} bytes", hint="settings take a few lines")
    return {name: (value, str(path)) for name, value in _checked(path, _parsed(path, data)).items()}


def _place() -> Path | None:
    # What somebody named has to be there: its limits would be gone without a word.
    if named := os.environ.get(FILE_VARIABLE):
        return Path(named)
    try:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser())
    except RuntimeError:  # an account without a home, as containers run under, has no settings there
        return None
    path = home / "modelkeep" / "config.toml"
    try:
        path.lstat()  # not os.path.lexists, which takes a folder that nobody may look into for an empty one
    except (FileNotFoundError, NotADirectoryError):
        return None
    return path


def _check_owner(path: Path, status: os.stat_result) -> None:
    # It says whom to trust: whoever can change it decides that.
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise StorageError(
            f"{path}: others may change these settings",
            hint=f"make it this user's own: chown {os.geteuid()} {path}; chmod go-w {path}",
        )


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None


def _checked(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if name not in NAMES:
            raise UsageError(f"{path}: {name!r} cannot be set", hint=f"settings are {', '.join(NAMES)}")
        if not _is_of_kind(name, value):
            raise UsageError(f"{path}: {name!r} is of another kind", hint=_example(name))
    return {name: _placed(path, name, value) for name, value in values.items()}


def _is_of_kind(name: str, value: Any) -> bool:
    if name in _LISTS:
        return isinstance(value, list) and all(isinstance(each, str) and each for each in value)
    # Not isinstance: true would count as 1.
    return type(value) is (int if name == THRESHOLD else str) and bool(value)


def _example(name: str) -> str:
    if name in _LISTS:
        return f'for example {name} = ["FILE"]'
    return f"for example {name} = 2" if name == THRESHOLD else f'for example {name} = "..."'


def _placed(file: Path, name: str, value: Any) -> Any:
    """Returns paths as seen from the folder of the file, not from wherever a command is run."""
    if name in _LISTS:
        return [_path(file, each) for each in value]
    return _path(file, value) if name == "second-trust" else value


def _path(file: Path, text: str) -> str:
    try:
        return str(file.parent / Path(text).expanduser())
    except RuntimeError:
        raise UsageError(
            f"{file}: {text!r:.100}: there is no such home", hint="write the whole path"
        ) from None
