"""The fork servers of this process: which one makes the process of a model, and when a new one is started."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from dataclasses import dataclass, field

from modelkeep.errors import UnavailableError
from modelkeep.isolation.fork_server import Copy, ForkServer
from modelkeep.isolation.surroundings import inherited

# Format and adapter of the models that a server has imported the runtime for; None while it has none.
_Purpose = tuple[str, str | None] | None


@dataclass(slots=True)
class _Known:
    """Servers by purpose, those put aside, purposes that none can serve, and what all of them inherited."""

    servers: dict[_Purpose, ForkServer] = field(default_factory=dict)
    former: list[ForkServer] = field(default_factory=list)
    impossible: set[_Purpose] = field(default_factory=set)
    inherited: object = None

    def all(self) -> tuple[ForkServer, ...]:
        return (*self.servers.values(), *self.former)


class Preparation:
    """One server for each runtime, as long as what processes inherit from this one stays as it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known = _Known()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._abandon)
        atexit.register(self.end)

    def begin(self) -> None:
        """Starts a server where there is none, without waiting for it.

        Raises:
            UnavailableError: it does not start.
        """
        with self._lock:
            self._look_around()
            if not self._known.servers and _can_wait_for_copies():
                self._known.servers[None] = ForkServer()

    def load(self, model_format: str, runtime: str | None) -> None:
        """Has a server import what loads such models, without waiting for it.

        Raises:
            UnavailableError: it does not start.
        """
        if _can_wait_for_copies():
            self._server((model_format, runtime))

    def copy(
        self, model_format: str, runtime: str | None, session: int, remarks: int, until: float | None
    ) -> Copy | None:
        """Returns a process for such a model, or None where one is to be started anew; see `ForkServer.copy`.

        Raises:
            UnavailableError: a server does not start.
            RuntimeTimeoutError: it took too long.
        """
        if not _can_wait_for_copies():
            return None
        purposes: tuple[_Purpose, ...] = ((model_format, runtime), None)
        for purpose in purposes:
            while purpose not in self._known.impossible:
                server = self._server(purpose)
                if copy := server.copy(session, remarks, until):
                    return copy
                self._discard(purpose, server)
        return None

    def end(self) -> None:
        """Ends all servers, and the processes that they made."""
        with self._lock:
            known, self._known = self._known, _Known()
        for server in known.all():
            server.end()

    def _server(self, purpose: _Purpose) -> ForkServer:
        with self._lock:
            self._look_around()
            servers = self._known.servers
            if purpose not in servers:
                servers[purpose] = servers.pop(None) if None in servers else ForkServer()
                if purpose is not None:
                    servers[purpose].load(*purpose)
            return servers[purpose]

    def _look_around(self) -> None:
        """Puts servers aside that inherited something else, and ends those that have nothing to do."""
        known, now = self._known, inherited()
        if now != known.inherited:
            self._known = _Known(former=[*known.all()], inherited=now)
        for server in [each for each in self._known.former if not each.busy]:
            self._known.former.remove(server)
            server.end()

    def _discard(self, purpose: _Purpose, server: ForkServer) -> None:
        """A server that once made copies can have been killed; one that never did will not either."""
        with self._lock:
            if not server.made:
                self._known.impossible.add(purpose)
            if self._known.servers.get(purpose) is server:
                del self._known.servers[purpose]
            self._known.former.append(server)
            self._look_around()

    def _abandon(self) -> None:
        for server in self._known.all():
            server.abandon()
        self._lock = threading.Lock()
        self._known = _Known()


PREPARATION = Preparation()


def prepare_isolation(format: str = "onnx", *, runtime: str | None = None) -> None:
    """Has the processes of isolated models ready sooner: starts what they are copied from.

    Returns at once; what is started imports the runtime meanwhile. Without this the first opening does it.

    Args:
        format: of the models that are going to be opened, for example ``onnx``.
        runtime: name of the adapter, where a format has several.

    Raises:
        UnavailableError: isolated processes need Linux, or none can be started.
    """
    if sys.platform != "linux":
        raise UnavailableError("isolated processes need Linux", hint="leave `isolation` out")
    PREPARATION.load(format, runtime)


def _can_wait_for_copies() -> bool:
    """Returns whether this kernel (Linux 5.3) lets one end and wait for processes of another process."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
