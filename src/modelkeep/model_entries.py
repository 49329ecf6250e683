"""Which files of a model a runtime is handed, of which format they are, and what they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from modelkeep.contract import Contract
from modelkeep.errors import KeepError, UsageError
from modelkeep.formats.format import Files, Format
from modelkeep.formats.gguf import read_parts
from modelkeep.formats.registry import PLAIN_FILES, find_format, format_of, format_of_name
from modelkeep.formats.shards import INDEX, gguf_parts
from modelkeep.inner_manifest import Entry

_MOST_NAMED = 5
_WEIGHTS = ".safetensors"


def find_entries(files: Files, wanted: str | Sequence[str] | None, format: str | None) -> tuple[Entry, ...]:
    """Returns the entries of a model, the default one first; none where it holds files alone.

    Args:
        files: all files of the model.
        wanted: paths of the main files, with ``#`` and the name of a function where they have several.
        format: name of their format, or None to look.

    Raises:
        UsageError: an entry or the format is unknown, it is not clear which is meant, or files are missing.
        MalformedError: a main file is damaged, or stands for one.
    """
    if format is not None and format != PLAIN_FILES:
        find_format(format)
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
    elif format == PLAIN_FILES:
        names = []
    else:
        names = _candidates(files)
    return _each_once([entry for name in names for entry in _read(files, name, format)])


def _each_once(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    return tuple({entry.name: entry for entry in reversed(entries)}.values())[::-1]


def _read(files: Files, name: str, format: str | None) -> Iterator[Entry]:
    path, function = _split(files, name)
    found = _format(files, path, format)
    if found is None:
        yield Entry(PLAIN_FILES, path, None, None)
        return
    contracts = _contracts(files, path, found)
    if function is not None and function not in contracts:
        named = ", ".join(str(each) for each in contracts)
        raise UsageError(f"{path}: has no function {function!r}", hint=f"functions: {named}")
    chosen = contracts if function is None else {function: contracts[function]}
    for each, contract in chosen.items():
        yield Entry(found.name, path, each if len(contracts) > 1 else None, contract)


def _split(files: Files, name: str) -> tuple[str, str | None]:
    if name in files:
        return name, None
    path, mark, function = name.partition("#")
    if not mark or path not in files:
        raise UsageError(f"no file {path!r} in the model", hint="name one of its files as the entry")
    return path, function


def _format(files: Files, path: str, format: str | None) -> type[Format] | None:
    if format is None:
        return format_of(files, path)
    return None if format == PLAIN_FILES else find_format(format)


def _contracts(files: Files, path: str, found: type[Format]) -> Mapping[str | None, Contract | None]:
    try:
        missing = [each for each in found.companions(files, path) if each not in files]
        if missing:
            raise UsageError(
                f"{path} keeps weights in files that are not there: {', '.join(missing[:_MOST_NAMED])}",
                hint="seal the folder that holds the model together with its weight files",
            )
        return found.contracts(files, path)
    except KeepError as error:
        if path in str(error):
            raise
        raise type(error)(f"{path}: {error}", hint=error.hint) from None


def _candidates(files: Files) -> list[str]:
    """Returns the one main file, or no file where there is none."""
    if len(files) == 1:
        return list(files)
    by_name = [path for path in files if format_of_name(path) is not None and _may_be_main(files, path)]
    candidates = _without_parts(files, by_name or [path for path in files if _looks_like_model(files, path)])
    if all(path.lower().endswith(_WEIGHTS) for path in candidates) and len(candidates) > 1:
        return []  # weights in several files, and nothing that says how they belong together
    if len(candidates) > 1:
        raise UsageError(
            f"several files could be the model: {', '.join(candidates[:_MOST_NAMED])}",
            hint="say which with --entry; given several times, the first one is run by default",
        )
    return candidates


def _may_be_main(files: Files, path: str) -> bool:
    promised = format_of_name(path)
    return promised is not None and (promised.own_suffixes or promised.recognises(files[path]))


def _looks_like_model(files: Files, path: str) -> bool:
    try:
        return format_of(files, path) is not None
    except KeepError:
        return False


def _without_parts(files: Files, candidates: Sequence[str]) -> list[str]:
    """Returns the candidates without those that belong to another one: shards, and split files."""
    parts = {part for path in candidates for part in _parts_of(files, path)}
    return [path for path in candidates if path not in parts]


def _parts_of(files: Files, path: str) -> Sequence[str]:
    promised = format_of_name(path)
    try:
        if path.lower().endswith(INDEX) and promised is not None:
            return promised.companions(files, path)
        if promised is not None and promised.name == "gguf":
            return gguf_parts(path, read_parts(files[path]))[1:]
    except KeepError:
        return ()
    return ()
