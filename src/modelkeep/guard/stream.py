"""A stream of frames, watched in their order: frozen ones, and changes that last."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

from modelkeep import canonical
from modelkeep.errors import UsageError
from modelkeep.guard.change import Change
from modelkeep.guard.counters import Counters
from modelkeep.guard.findings import GuardFinding
from modelkeep.guard.profile import LARGEST_PROFILE, GuardProfile
from modelkeep.guard.reader import Reader, plain
from modelkeep.guard.signal import Signal
from modelkeep.guard.still import Still
from modelkeep.record import Record
from modelkeep.storage import read_small, write_file

_LOG = logging.getLogger("modelkeep.guard")

_WHAT = "state of a stream"
_FORMAT = "modelkeep/stream"
_LARGEST_STATE = LARGEST_PROFILE


class StreamGuard:
    """Watches the frames of one stream, in their order: one camera, one machine.

    Beside `Guard`, which looks at each frame alone. Its memory does not grow. Alarms go to the logger
    `modelkeep.guard`; after one, the watch begins anew.

    Attributes:
        profile: what is usual.
        counters: what happened so far, for telemetry.
    """

    def __init__(
        self, profile: GuardProfile, *, every: int = 1, apart: float = 1e7, repeats: int | None = 3
    ) -> None:
        """Begins a watch.

        Args:
            profile: what is usual for frames of this stream.
            every: of so many frames one counts for changes, so that they tell something new each; see
                docs/guard.md, "Streams". Frozen frames are looked for in all.
            apart: how many frames that count lie between two false alarms, on average, at least.
            repeats: frames in a row that repeat earlier ones and are an alarm; None not to look. Vectors
                may stand still, and are not looked at.

        Raises:
            UsageError: a setting that makes no sense.
        """
        if every < 1 or not apart >= 10 or (repeats is not None and repeats < 1):
            raise UsageError("every and repeats must be at least 1, and apart at least 10")
        self.profile, self.counters = profile, Counters()
        self._every, self._apart, self._repeats = every, apart, repeats
        self._lock = threading.Lock()
        self._frames = 0
        self._reader = Reader(profile.inputs)
        self._change = Change(profile.sequence, profile.inputs)
        self._still = [Still() for _ in profile.inputs]

    def check(self, inputs: Mapping[str, object]) -> tuple[GuardFinding, ...]:
        """Returns the alarms that a call gives: of rule ``frozen`` or ``change``.

        Args:
            inputs: arrays by input name; a batch is as many frames in their order. What cannot be read is
                left to `Guard`.
        """
        return self.watch(self._reader.read(plain(inputs)))

    def watch(self, signal: Signal) -> tuple[GuardFinding, ...]:
        """Does what `check` does, with inputs that are measured already."""
        if signal.faults:
            return ()
        with self._lock:
            findings = [finding for frame in signal.frames() for finding in self._watch(frame)]
        for finding in findings:
            _LOG.warning("%s", finding)
        self.counters.record("stream", [], findings)
        return tuple(findings)

    def _watch(self, frame: Signal) -> list[GuardFinding]:
        findings = [] if self._repeats is None else self._frozen(frame)
        self._frames += 1
        if (self._frames - 1) % self._every == 0:
            findings += self._changed(frame)
        return findings

    def _frozen(self, frame: Signal) -> list[GuardFinding]:
        findings = []
        for usual, rows, still in zip(frame.inputs, frame.features, self._still, strict=True):
            if usual.layout.is_vector:
                continue
            count, kind = still.add(rows[0])
            if count == self._repeats:
                detail = f"{count} frames in a row {kind}"
                findings.append(_finding("frozen", usual.layout.name, float(count), count - 1.0, detail))
        return findings

    def _changed(self, frame: Signal) -> list[GuardFinding]:
        won = self._change.add(frame)
        if won < self._apart:
            return []
        subject, detail = self._change.cause()
        self._change.restart()
        return [_finding("change", subject, won, self._apart, detail)]

    def to_json(self) -> dict[str, Any]:
        """Returns what is remembered of changes; frames that stand still are looked for anew."""
        with self._lock:
            return {
                "change": self._change.to_json(),
                "format": _FORMAT,
                "frames": self._frames,
                "profile": hashlib.sha256(self.profile.to_bytes()).hexdigest(),
                "version": 1,
            }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes what is remembered to a file, so that a restart does not begin anew.

        Raises:
            StorageError: cannot be written.
        """
        write_file(path, canonical.encode(self.to_json()), force=True, mode=0o600)

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Takes up what `save` wrote.

        Raises:
            StorageError: cannot be read.
            MalformedError: not such a file.
            UsageError: of a stream with another profile.
        """
        with Record(canonical.decode(read_small(path, _LARGEST_STATE, _WHAT), _WHAT), _WHAT) as record:
            if record.text("format") != _FORMAT or record.integer("version") != 1:
                raise record.fault("format", "is not known to this version")
            if record.hexadecimal("profile", 32) != hashlib.sha256(self.profile.to_bytes()).digest():
                raise UsageError("this state is of another profile", hint="begin the watch anew")
            frames = record.integer("frames")
            with self._lock:
                self._change.restore(record.object("change"))
                self._frames = frames

    def close(self) -> None:
        """Wipes what was remembered of the stream."""
        with self._lock:
            self._change.restart()
            self._still = [Still() for _ in self.profile.inputs]
            self._frames = 0


def _finding(rule: str, subject: str, score: float, threshold: float, detail: str) -> GuardFinding:
    return GuardFinding("stream", rule, subject, "flag", score, threshold, detail)
