"""A device that goes on following a repository: look, wait, look again, until it is told to end."""

from __future__ import annotations

import datetime
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelkeep.errors import KeepError, UnavailableError
from modelkeep.storage import lock_now, make_folder, words_for, write_file
from modelkeep.updates.client.notes import FollowingNotes
from modelkeep.updates.client.report import UpdateReport
from modelkeep.updates.client.schedule import Schedule, Window
from modelkeep.updates.client.updater import Updater

_LOG = logging.getLogger("modelkeep.updates")
_LOCK = "service.lock"


class Service:
    """Looks again and again; one for a folder of slots.

    Args:
        updater: what it follows.
        schedule: how long it waits.
        window: when releases may be fetched; None: always.
        status: a file that says as JSON what came of the last look, for whoever watches; or None.
    """

    def __init__(
        self, updater: Updater, schedule: Schedule, window: Window | None = None, status: Path | None = None
    ) -> None:
        self._updater, self._schedule = updater, schedule
        self._window, self._status = window, status
        self._looks = self._failures = 0

    def run(self, stop: threading.Event) -> None:
        """Looks until `stop` is set.

        Raises:
            UnavailableError: another one follows with this folder.
            StorageError: its lock or the status file cannot be written.
        """
        with self._alone():
            while not stop.is_set():
                stop.wait(self.look())

    def look(self) -> float:
        """Looks once, and returns for how many seconds to wait before the next one.

        Raises:
            StorageError: the status file cannot be written.
        """
        self._looks += 1
        try:
            report = self._update()
        except KeepError as error:
            return self._failed(error)
        self._failures = 0
        pause = self._schedule.pause(self._looks, 0, named=report.interval, asked=None)
        self._write(_facts(report), pause)
        _LOG.info("%s; looking again in %.0f s", report, pause)
        return pause

    def _update(self) -> UpdateReport:
        if self._window is None or self._window.is_open(datetime.datetime.now().astimezone().time()):
            return self._updater.update()
        return self._updater.check()

    def _failed(self, error: KeepError) -> float:
        self._failures += 1
        asked = getattr(error, "pause", None)
        pause = self._schedule.pause(self._looks, self._failures, named=None, asked=asked)
        self._write({"error": type(error).__name__, "reason": str(error), "hint": error.hint}, pause)
        _LOG.warning("%s: %s; looking again in %.0f s", self._updater.model, error, pause)
        return pause

    def _write(self, facts: Mapping[str, Any], pause: float) -> None:
        if self._status is None:
            return
        now = int(time.time())
        notes = FollowingNotes.read(self._updater.folder)
        common = {
            "model": self._updater.model,
            "at": now,
            "next": now + int(pause),
            "failures": self._failures,
            "stale_since": None if notes is None else notes.stale_since(now),
        }
        write_file(self._status, json.dumps({**common, **facts}, sort_keys=True).encode() + b"\n", force=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        folder = self._updater.following.folder
        path = folder / _LOCK
        with words_for(path):
            make_folder(folder)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                _lock(descriptor, folder)
                yield
            finally:
                os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    held = UnavailableError(
        f"{folder.parent}: another service follows with these slots", hint="one is enough"
    )
    lock_now(descriptor, held)


def _facts(report: UpdateReport) -> dict[str, Any]:
    return {
        "outcome": report.outcome.value,
        "reason": report.reason,
        "bundle": None if report.bundle is None else report.bundle.hex(),
        "ends": report.ends,
    }
