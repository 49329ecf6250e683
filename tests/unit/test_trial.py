"""Trials: a release that does what its publisher saw counts; any other leaves what counted."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.bundle.access import Access
from modelkeep.bundle.installation import Installation
from modelkeep.errors import KeyStoreError, RefusedError, StorageError, UntrustedSignerError, WrongModelError
from modelkeep.golden import Golden, GoldenCase
from modelkeep.golden_limits import GoldenLimits
from modelkeep.session import Session
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial import try_out
from modelkeep.updates.trial_notes import MOST_CRASHES, TrialEnd
from support.command_line import CommandLine
from support.slots import slots_with
from support.slots import stage as stage_release
from support.workshop import MODEL_ID, Workshop

X = np.array([[1, 2, 3, 4]], np.float32)
DOUBLES = GoldenCase({"x": X}, {"y": 2 * X})
TRIPLES = GoldenCase({"x": X}, {"y": 3 * X})


@pytest.fixture
def slots(workshop: Workshop) -> Slots:
    """Slots in which release 1 counts."""
    return slots_with(workshop, 2.0)


def stage(workshop: Workshop, slots: Slots, *cases: GoldenCase, **limits: Any) -> Path:
    golden = Golden(cases, GoldenLimits(**limits)) if cases else None
    return stage_release(workshop, slots, golden=golden)


def end_of(slots: Slots, **options: Any) -> tuple[TrialEnd, str]:
    result = try_out(slots, **options)
    assert result is not None
    return result.verdict.end, result.verdict.reason


def bundle_of(workshop: Workshop, slots: Slots) -> str:
    with workshop.open(slots.folder.path) as session:
        return session.report.bundle


@pytest.mark.parametrize("isolation", ["in-process", "process"])
def test_golden_cases_decide(workshop: Workshop, slots: Slots, isolation: str) -> None:
    assert try_out(slots) is None
    first = bundle_of(workshop, slots)
    wrong = stage(workshop, slots, DOUBLES, TRIPLES)
    end, reason = end_of(slots, isolation=isolation)
    assert end is TrialEnd.REFUSED
    assert reason == "golden case 1: y has 8 for 12; 4 of 4 elements differ"
    assert bundle_of(workshop, slots) == first and try_out(slots) is None
    with pytest.raises(RefusedError, match="tried here and failed"):
        install(wrong, slots.folder.path, identity=workshop.identity(), verifier=workshop.verifier())
    stage(workshop, slots, DOUBLES, latency=60.0)
    assert end_of(slots, isolation=isolation) == (TrialEnd.PASSED, "golden cases held: 1")
    assert bundle_of(workshop, slots) != first


def test_latency_decides(workshop: Workshop, slots: Slots) -> None:
    stage(workshop, slots, GoldenCase({"x": X}, {}), latency=1e-9)
    end, reason = end_of(slots)
    assert end is TrialEnd.REFUSED and "more than 1e-06" in reason


def test_without_golden_cases_opening_is_the_trial(workshop: Workshop, slots: Slots) -> None:
    stage(workshop, slots)
    assert end_of(slots) == (TrialEnd.PASSED, "opened")


def raising(error: BaseException) -> Any:
    def run(_session: Session, _inputs: Mapping[str, Any]) -> None:
        raise error

    return run


def test_tries_are_counted_before_the_release_is_loaded(
    workshop: Workshop, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bundle_of(workshop, slots)
    stage(workshop, slots, DOUBLES)
    for _ in range(MOST_CRASHES):
        child = os.fork()
        if not child:
            monkeypatch.setattr(Session, "run", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            try_out(slots)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
    with pytest.raises(RefusedError, match=f"crashed {MOST_CRASHES} times"):
        try_out(slots)
    assert try_out(slots) is None
    assert bundle_of(workshop, slots) == first


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (MemoryError(), TrialEnd.CRASHED),
        (KeyStoreError("the token is gone"), TrialEnd.POSTPONED),
        (StorageError("input/output error"), TrialEnd.DAMAGED),
        (RuntimeError("no such operator"), TrialEnd.REFUSED),
    ],
)
def test_what_a_failure_says_of_the_release(
    workshop: Workshop, slots: Slots, monkeypatch: pytest.MonkeyPatch, error: Exception, end: TrialEnd
) -> None:
    stage(workshop, slots, DOUBLES)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", raising(error))
        assert end_of(slots) == (end, str(error))
    again = end in (TrialEnd.CRASHED, TrialEnd.POSTPONED)
    assert (try_out(slots) is not None) == again


def test_crashes_of_the_models_own_process_count(
    workshop: Workshop, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(workshop, slots, DOUBLES)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", raising(MemoryError()))
        ends = [end_of(slots)[0] for _ in range(MOST_CRASHES)]
        assert ends == [TrialEnd.CRASHED] * MOST_CRASHES
        with pytest.raises(RefusedError, match="in quarantine"):
            try_out(slots)


def test_mistakes_of_the_caller_and_interruptions_are_not_the_release(
    workshop: Workshop, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(workshop, slots, DOUBLES)
    assert end_of(slots, runtime="abacus")[0] is TrialEnd.POSTPONED
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    for mistaken in (Verifier(stranger, model=MODEL_ID), workshop.verifier(model="acme/other")):
        with pytest.raises((UntrustedSignerError, WrongModelError)):
            try_out(Slots.open(slots.folder.path, Access(workshop.identity(), mistaken)))
    for _ in range(MOST_CRASHES):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Session, "run", raising(KeyboardInterrupt()))
            try_out(slots)
    assert end_of(slots)[0] is TrialEnd.PASSED


def test_a_slot_that_rots_is_staged_again(workshop: Workshop, slots: Slots) -> None:
    bundle = stage(workshop, slots, DOUBLES)
    waiting = slots.staged()
    assert waiting is not None
    path = slots.folder.file(waiting.slot)
    data = bytearray(path.read_bytes())
    with Installation(path) as installation, installation.open_file("payload/1") as place:
        data[place.offset + place.size - 1] ^= 1
    path.write_bytes(data)
    assert end_of(slots)[0] is TrialEnd.DAMAGED
    install(bundle, slots.folder.path, identity=workshop.identity(), verifier=workshop.verifier())
    assert end_of(slots)[0] is TrialEnd.PASSED


def test_the_command(
    workshop: Workshop, slots: Slots, command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workshop.folder / "publisher.pub").write_bytes(workshop.publisher_public)
    trust = ("-t", workshop.folder / "publisher.pub", "--model-id", MODEL_ID, "--json")
    trial = ("trial", slots.folder.path, "-k", workshop.device, *trust)
    nothing = command(*trial)
    assert nothing.code == 0 and nothing.json == {"end": None}
    stage(workshop, slots, DOUBLES)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, and so does what it starts
        monkeypatch.setattr(Session, "run", lambda *_: signal.raise_signal(signal.SIGHUP))
        os._exit(command(*trial).code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGHUP
    assert command(*trial, "--runtime", "abacus").code == 6
    passed = command(*trial)
    assert passed.code == 0 and passed.json["end"] == "passed" and "it counts now" in passed.err
    stage(workshop, slots, TRIPLES)
    refused = command(*trial)
    assert refused.code == 3 and "refused: golden case 0" in refused.err
