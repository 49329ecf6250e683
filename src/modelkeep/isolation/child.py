"""The process of an isolated model: gives up what it can, then serves. Started by `process.py`."""

from __future__ import annotations

import signal
import sys

from modelkeep.errors import UnavailableError
from modelkeep.isolation import hardening
from modelkeep.isolation.channel import Channel


def main() -> None:
    """Serves on the channel whose descriptor is the first argument; the second is the session's process."""
    run(*map(int, sys.argv[1:]))


def run(descriptor: int, parent: int) -> None:
    """Gives up what it can and serves.

    Args:
        descriptor: of the channel to the session.
        parent: id of the process that this one ends with.
    """
    channel = Channel.inherited(descriptor)
    # The keyboard's interrupt is for the session, which ends this process when it wants to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = hardening.before_imports(parent, descriptor)
    except UnavailableError as error:
        channel.send(["error", "UnavailableError", str(error), error.hint])
        return
    # Imported only now: nothing of it ran while this process could still be read or could write.
    from modelkeep.isolation.server import serve

    serve(channel, done, hardening)


if __name__ == "__main__":
    main()
