"""The command line, as `modelkeep` and as `python -m modelkeep`: in order from its first moment."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> int:
    """Runs the command of this process and returns its exit code; whoever interrupts it reads one line."""
    try:
        # Here, so that an interrupt while Python reads it is one of the command.
        from modelkeep.cli import main as run

        return run()
    except KeyboardInterrupt:
        from contextlib import suppress

        # A terminal that has gone, or that never was, changes nothing about the code.
        with suppress(AttributeError, OSError, ValueError):
            sys.stderr.write("modelkeep: interrupted; nothing was left half done\n")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
