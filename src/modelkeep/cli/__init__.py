"""The command line: words only, no logic."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from modelkeep.cli.parser import build_parser
from modelkeep.errors import (
    KeepError,
    MalformedError,
    NotForThisDeviceError,
    RefusedError,
    UnavailableError,
    UsageError,
)

# What a shell script can tell apart; documented in docs/cli.md.
EXIT_CODES: tuple[tuple[type[KeepError], int], ...] = (
    (UsageError, 2),
    (RefusedError, 3),
    (NotForThisDeviceError, 4),
    (MalformedError, 5),
    (UnavailableError, 6),
)
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parsed = build_parser().parse_args(arguments)
    try:
        # Commands are imported when they run: `--help` must not load NumPy or cryptography.
        parsed.command(parsed)
        sys.stdout.flush()
    except KeepError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("modelkeep: interrupted; nothing was left half done", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; that is their right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _complain(error: KeepError) -> int:
    print(f"modelkeep: {error}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {error.hint}", file=sys.stderr)
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
