"""A process that has imported a runtime and has no model: it makes copies of itself, one for each model.

Started by `fork_server.py`. It gives up what it can before it imports anything; each copy gives up the
rest, as a process that was started anew does. A copy shares with others where libraries lie in memory, and
nothing that can be written.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any

from modelkeep.errors import KeepError, UnavailableError
from modelkeep.isolation import child, hardening
from modelkeep.isolation.channel import Channel, ChannelClosedError

_STDERR = 2
_SESSION_AND_REMARKS = 2


def main() -> None:
    """Serves on the channel whose descriptor is the first argument; the second is the host's process."""
    descriptor, parent = map(int, sys.argv[1:])
    channel = Channel.inherited(descriptor)
    # The keyboard's interrupt is for the host, which ends this process when it wants to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Without an answer the host starts a process without this one, which says what is wrong.
    with suppress(UnavailableError, ChannelClosedError):
        hardening.before_forking(parent, descriptor)
        for name in ("modelkeep.isolation.server", "numpy"):
            importlib.import_module(name)
        while True:
            _answer(channel)


def _answer(channel: Channel) -> None:
    message, descriptors = channel.receive_with_descriptors(_SESSION_AND_REMARKS)
    match message:
        case ["import", model_format, runtime]:
            _import(model_format, runtime)
        case ["copy", number]:
            channel.send(["copied", number, _copied(channel, *descriptors)])
        case ["reap", number, pid]:
            channel.send(["reaped", number, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])])


def _import(model_format: str, runtime: str | None) -> None:
    from modelkeep.runtimes.registry import open_runtime

    # What fails here fails again where the model is loaded, and is said there.
    with suppress(KeepError):
        open_runtime(model_format, runtime)
    gc.collect()
    gc.freeze()  # so that collecting in a copy does not write to, and so copy, every page


def _copied(channel: Channel, session: int, remarks: int) -> int | None:
    """Returns the id of a new copy, or None where one cannot be made safely."""
    try:
        if _shares_memory():
            return None
        pid = os.fork()
        if pid == 0:
            _become(channel, session, remarks)
        if not _has_threads():
            return pid
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return None
    finally:
        os.close(session)
        os.close(remarks)


def _shares_memory() -> bool:
    """Returns whether a library made memory that copies would have in common."""
    with open("/proc/self/maps", "rb") as maps:  # noqa: PTH123
        return any(line.split(None, 2)[1] in {b"rw-s", b"rwxs", b"-w-s"} for line in maps)


def _has_threads() -> bool:
    """Returns whether there are other threads, whose locks a copy would have without them.

    Asked after forking: libraries that know of it end their threads just before.
    """
    return len(os.listdir("/proc/self/task")) > 1  # noqa: PTH208


def _become(channel: Channel, session: int, remarks: int) -> None:
    """Goes on as the process of a model; does not return."""
    code = 1
    try:
        server = os.getppid()
        channel.close()
        os.dup2(remarks, _STDERR)
        os.setsid()
        _new_randomness()
        child.run(session, server)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _new_randomness() -> None:
    """Python's own generator is seeded anew by forking; the one of NumPy is not, if it is there."""
    generator: Any = sys.modules.get("numpy.random")
    if generator is not None:
        generator.seed()


if __name__ == "__main__":
    main()
