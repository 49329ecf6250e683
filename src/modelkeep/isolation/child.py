"""The process of an isolated model: gives up what it can, then serves. Started by `process.py`."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading

from modelkeep.errors import UnavailableError
from modelkeep.isolation import hardening
from modelkeep.isolation.channel import Channel


def main() -> None:
    """Serves on the channel whose descriptor is the only argument."""
    channel = Channel.inherited(int(sys.argv[1]))
    # The keyboard's interrupt is for the session, which ends this process when it wants to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = hardening.before_imports()
    except UnavailableError as error:
        channel.send(["error", "UnavailableError", str(error), error.hint])
        return
    threading.Thread(target=_end_with, args=(channel.descriptor,), daemon=True).start()
    # Imported only now: nothing of it ran while this process could still be read or could write.
    from modelkeep.isolation.server import serve

    serve(channel, done, hardening.after_loading)


def _end_with(descriptor: int) -> None:
    """Ends this process when the session's is gone, whatever the model is computing."""
    poll = select.poll()
    poll.register(descriptor, 0)  # a hang-up is told anyway
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    main()
