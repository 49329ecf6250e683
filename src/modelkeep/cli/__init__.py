"""The command line: words only, no logic."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from modelkeep.cli.ending import ending_in_order
from modelkeep.cli.output import flush_output, prepare_output, say
from modelkeep.cli.parser import build_parser
from modelkeep.cli.shell_words import in_a_shell
from modelkeep.errors import (
    KeepError,
    MalformedError,
    NotForThisDeviceError,
    RefusedError,
    StorageError,
    UnavailableError,
    UsageError,
)
from modelkeep.posix import importing

# What a shell script can tell apart; documented in docs/cli.md.
EXIT_CODES: tuple[tuple[type[KeepError], int], ...] = (
    (UsageError, 2),
    (RefusedError, 3),
    (NotForThisDeviceError, 4),
    (MalformedError, 5),
    (UnavailableError, 6),
)
_MAY_BE_EMPTY = ("adb", "family", "old_associated", "old_info", "release")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; an interrupt is left to whoever runs the process."""
    prepare_output()
    code = _attempt(lambda: _perform(arguments))
    # A result counts only when it has arrived.
    arrived = _attempt(flush_output)
    return code or arrived


@ending_in_order()
@importing()
def _perform(arguments: Sequence[str] | None) -> None:
    parsed = build_parser().parse_args(_words(arguments))
    _refuse_empty_words(parsed)
    _refuse_standard_output(parsed)
    # Commands are imported when they run: `--help` must not load NumPy or cryptography.
    parsed.command(parsed)


def _words(arguments: Sequence[str] | None) -> list[str]:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        build_parser().print_help(sys.stderr)
        raise SystemExit(2)
    # What people type when they do not know: `modelkeep help seal` as `modelkeep seal --help`.
    return [*words[1:], "--help"] if words[0] == "help" else words


def _refuse_empty_words(parsed: Namespace) -> None:
    # What a script's unset variable leaves must not mean the working directory, or nobody.
    for name, value in vars(parsed).items():
        if name not in _MAY_BE_EMPTY and (value == "" or (isinstance(value, list) and "" in value)):
            raise UsageError(f"{name.replace('_', '-')} is empty", hint="is a variable of a script not set?")


def _refuse_standard_output(parsed: Namespace) -> None:
    # What is written appears whole or not at all, which a stream cannot promise.
    if getattr(parsed, "output", None) == "-":
        raise UsageError("-o - : results are files", hint="name one; ./- for a file of that name")


def _attempt(work: Callable[[], None]) -> int:
    try:
        work()
    except KeepError as error:
        return _complain(error)
    except SystemExit as exit_of_parser:
        return int(exit_of_parser.code or 0)
    except BrokenPipeError:
        # Whoever read our output has had enough; that is their right.
        return 0
    except (OSError, MemoryError) as error:
        return _complain(_in_words(error))
    return 0


def _in_words(error: OSError | MemoryError) -> UnavailableError:
    if isinstance(error, MemoryError):
        return UnavailableError("not enough memory")
    where = "" if error.filename is None else f"{error.filename}: "
    return StorageError(f"{where}{(error.strerror or str(error)).lower()}")


def _complain(error: KeepError) -> int:
    say(f"modelkeep: {error}")
    if error.hint:
        say(f"  hint: {in_a_shell(error.hint)}")
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
