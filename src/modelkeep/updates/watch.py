"""A model that is replaced under its callers: each call runs on what counts when it begins."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from modelkeep.bundle.access import Access, IdentityLike
from modelkeep.contract import Contract
from modelkeep.errors import RuntimeCrashedError, UsageError
from modelkeep.isolated_loading import Isolation
from modelkeep.opening import open_session
from modelkeep.opening_report import Report
from modelkeep.session import FlaggedOutputs, Session
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.updates.lookout import Counting, Lookout

if TYPE_CHECKING:
    import numpy as np

_LOG = logging.getLogger("modelkeep.updates")
_KEPT_SWAPS = 16
_LONGEST_PAUSE = 60.0

Result = TypeVar("Result")


class Swap(NamedTuple):
    """How one opening of a model took the place of another.

    Attributes:
        before: what was checked when the old one was opened.
        now: what was checked when the new one was opened.
        gap: seconds during which there was none, and calls waited; 0 where both were in memory.
    """

    before: Report
    now: Report
    gap: float


class Watched:
    """The model at a path, whichever counts there; made by `watch`. Any number of threads may call it.

    Attributes:
        swaps: the last replacements, at most 16.
    """

    def __init__(
        self, lookout: Lookout, opening: Callable[[], Session], *, interval: float, gap: bool
    ) -> None:
        self.swaps: deque[Swap] = deque(maxlen=_KEPT_SWAPS)
        self._lookout, self._opening, self._gap = lookout, opening, gap
        # Seen before it is opened: what comes between is looked at once more.
        self._known = lookout.counting()
        self._session: Session | None = opening()
        self.report = self._session.report
        self._failure: Exception | None = None
        self._failures, self._again = 0, 0.0
        self._is_closed = False
        self._changed = threading.Condition()
        self._one_at_a_time = threading.RLock()
        self._wake = threading.Event()
        self._thread = threading.Thread(
            target=self._look_again, args=(interval,), name="modelkeep-watch", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    @property
    def contract(self) -> Contract | None:
        """What inputs of the model that counts now must look like; raises what `run` does."""
        return self._current().contract

    def run(self, inputs: Mapping[str, np.ndarray], *, copy: bool = True) -> dict[str, np.ndarray]:
        """Does what `Session.run` does, on the model that counts now.

        Raises:
            InputError, UsageError, ExpiredError: see `Session.run`.
            KeepError: in a gap, what the opening of the new model raised.
        """
        return self._call(lambda session: session.run(inputs, copy=copy))

    def run_flagged(self, inputs: Mapping[str, np.ndarray], *, copy: bool = True) -> FlaggedOutputs:
        """Does what `Session.run_flagged` does, on the model that counts now.

        Raises:
            KeepError: see `run`.
        """
        return self._call(lambda session: session.run_flagged(inputs, copy=copy))

    async def run_async(
        self, inputs: Mapping[str, np.ndarray], *, copy: bool = True
    ) -> dict[str, np.ndarray]:
        """Does what `run` does in a thread of the event loop's default executor.

        Raises:
            KeepError: see `run`.
        """
        return await asyncio.to_thread(self.run, inputs, copy=copy)

    def check(self) -> bool:
        """Looks now whether something else counts, and lets it take over; returns whether it did.

        Raises:
            KeepError: it cannot be opened; without a gap, the old one goes on.
        """
        with self._one_at_a_time:
            if self._is_closed or not self._is_due():
                return False
            found = self._lookout.counting()
            if self._session is not None and found == self._known:
                return False
            self._replace(found)
            return True

    def close(self) -> None:
        """Waits for calls that are under way, and wipes the model. Again it does nothing.

        Raises:
            UsageError: called from within a call, for example by a signal handler.
        """
        with self._one_at_a_time:
            if self._session is not None:
                self._session.close()
            self._is_closed = True
            self._put(None)
        self._wake.set()
        self._thread.join()
        self._lookout.close()

    def _call(self, function: Callable[[Session], Result]) -> Result:
        while True:
            session = self._current()
            try:
                return function(session)
            except UsageError:
                # A session that was closed between the two lines above; any other fault is the caller's.
                if session is self._session:
                    raise
            except RuntimeCrashedError:
                self._forget(session)
                raise

    def _current(self) -> Session:
        with self._changed:
            self._changed.wait_for(lambda: self._session or self._failure or self._is_closed)
            if self._session is not None:
                return self._session
            if self._failure is not None and not self._is_closed:
                raise self._failure
        raise UsageError("this model is closed", hint="watch it again")

    def _forget(self, session: Session) -> None:
        """Has a session whose process is gone replaced."""
        with self._changed:
            if self._session is session:
                self._session = None
        session.close()
        self._wake.set()

    def _is_due(self) -> bool:
        saw_change = self._lookout.saw_change()
        if self._failures:
            return saw_change or time.monotonic() >= self._again
        return saw_change or self._session is None

    def _replace(self, found: Counting) -> None:
        old, start = self._session, time.monotonic()
        if self._gap and old is not None:
            self._put(None)
            old.close()
            old = None
        new = self._opened(old)
        gap = 0.0 if old is not None else time.monotonic() - start
        self._put(new)
        self._known = found
        self.swaps.append(Swap(self.report, new.report, gap))
        self.report = new.report
        if old is not None:
            old.close()
        _LOG.info("%s %s took over; calls waited %.3f s", new.report.model, new.report.epoch, gap)

    def _opened(self, old: Session | None) -> Session:
        try:
            new = self._opening()
        except Exception as error:
            self._put(old, error)
            self._failures += 1
            self._again = time.monotonic() + min(_LONGEST_PAUSE, 2.0**self._failures)
            raise
        self._failures = 0
        return new

    def _put(self, session: Session | None, failure: Exception | None = None) -> None:
        with self._changed:
            self._session, self._failure = session, failure
            self._changed.notify_all()

    def _look_again(self, interval: float) -> None:
        while not self._is_closed:
            self._wake.wait(interval)
            self._wake.clear()
            try:
                self.check()
            except Exception as error:
                _LOG.warning("%s: what counts now cannot be opened: %s", self._lookout.path, error)


def watch(
    path: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    posture: Iterable[str] = (),
    entry: str | None = None,
    site: str | os.PathLike[str] | None = None,
    runtime: str | None = None,
    isolation: Isolation = "in-process",
    gap: bool = False,
    interval: float = 1.0,
    **options: Any,
) -> Watched:
    """Opens a model and replaces it when another release counts, or a lease was renewed.

    Calls that have begun end on the model they began with; calls that begin are on the new one. While both
    are in memory, that takes room for two.

    Args:
        path: a folder of slots, or an installation that is replaced as a whole.
        identity: see `open_session`; so are `verifier`, `posture`, `entry`, `site`, `runtime`, `isolation`
            and `options`.
        verifier: whom to trust, and which model and release to accept.
        posture: names of what this device was found to be, for grants that demand some.
        entry: which of the model's entries to run, where it has several.
        site: what `save_site` wrote on this device.
        runtime: name of the adapter, where a format has several.
        isolation: which process it runs in; one that crashed is started anew.
        gap: let go of the old model before the new one is opened: room for one is enough, and calls wait
            meanwhile. `Watched.swaps` says how long.
        interval: seconds between two looks; each is a few calls of the system.
        options: passed on to the runtime's adapter.

    Raises:
        KeepError: see `open_session`.
    """
    access = Access(identity, verifier, posture=posture)
    opening = partial(
        open_session,
        path,
        identity=access.identity,
        verifier=access.verifier,
        posture=access.posture,
        entry=entry,
        site=site,
        runtime=runtime,
        isolation=isolation,
        **options,
    )
    try:
        return Watched(Lookout(Path(path), access), opening, interval=interval, gap=gap)
    except BaseException:
        access.close()
        raise
