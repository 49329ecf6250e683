"""Which formats there are, and which one a file is of: content decides, and names only help."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from modelkeep import plugins
from modelkeep.errors import KeepError, MalformedError, RuntimeMissingError, UsageError
from modelkeep.formats.format import Files, Format
from modelkeep.plugins import Plugin

GROUP = "modelkeep.formats"
PLAIN_FILES = "files"

_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html")
_HEAD = 4096
_TEXT = re.compile(rb"[\t\r\n\x20-\x7e]+")


def find_format(name: str) -> type[Format]:
    """Returns the format of a name.

    Raises:
        UsageError: there is none.
        RuntimeMissingError: the package that registers it cannot be imported.
    """
    for entry in plugins.find(GROUP, name):
        return _load(entry)
    raise UsageError(f"no format is named {name!r}", hint=f"formats: {', '.join((*_names(), PLAIN_FILES))}")


def format_of(files: Files, entry: str) -> type[Format] | None:
    """Returns the format of a file by its content, or None where nobody recognises it.

    Raises:
        MalformedError: it is no model but stands for one, or is not what its name promises.
    """
    view = files[entry]
    promised = format_of_name(entry)
    if promised is not None and not len(view):
        raise MalformedError(f"{entry}: is empty", hint="export or download the model again")
    _refuse_stand_ins(view, entry)
    if promised is not None and promised.recognises(view):
        return promised
    for each in every_format():
        if each.recognises(view):
            return each
    if promised is not None and promised.own_suffixes:
        raise MalformedError(
            f"{entry}: not {_indefinite(promised.name)} model: {_reason(promised, files, entry)}",
            hint="check the file; if it is of another kind, rename it, or name its --format",
        )
    return None


def format_of_name(path: str) -> type[Format] | None:
    """Returns the format that a file's name promises, or None."""
    name = path.lower()
    return next((each for each in _one_after_the_other() if name.endswith(each.suffixes)), None)


@cache
def every_format() -> tuple[type[Format], ...]:
    """Returns all formats that can be imported: ours first, then what other packages register, by name."""
    return tuple(_importable(plugins.every(GROUP)))


def _one_after_the_other() -> Iterator[type[Format]]:
    # Other packages are looked for only where none of ours fits: that takes as long as sealing a small model.
    yield from _our_formats()
    yield from every_format()


@cache
def _our_formats() -> tuple[type[Format], ...]:
    return tuple(_importable(plugins.own(GROUP)))


def _importable(entries: Iterable[Plugin]) -> Iterator[type[Format]]:
    for entry in entries:
        try:
            yield _load(entry)
        except RuntimeMissingError:
            continue


def _names() -> list[str]:
    return sorted({entry.name for entry in plugins.every(GROUP)})


def _load(entry: Plugin) -> type[Format]:
    found = plugins.load(entry, "format")
    if not isinstance(found, type) or not issubclass(found, Format):
        raise RuntimeMissingError(
            f"format {entry.name}: not a format", hint=f"update the package of {entry.value}"
        )
    return found


def _refuse_stand_ins(view: memoryview, entry: str) -> None:
    head = bytes(view[:_HEAD])
    if head.startswith(_POINTER):
        raise MalformedError(
            f"{entry}: a pointer of Git LFS, not the model itself", hint="git lfs pull, then seal again"
        )
    if head.lstrip().lower().startswith(_PAGES):
        raise MalformedError(
            f"{entry}: a web page, not a model", hint="the download needs a login, or another address"
        )


def _reason(promised: type[Format], files: Files, entry: str) -> str:
    if _TEXT.fullmatch(bytes(files[entry][:_HEAD])):
        return "it is text"
    try:
        promised.contracts(files, entry)
    except KeepError as error:
        return str(error)
    return "its content says something else"


def _indefinite(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"
