"""Sessions: what comes out, what is refused, and what is left behind."""

from __future__ import annotations

import os
import signal
import sys
import weakref

import numpy as np
import pytest

from modelkeep.errors import InputError, NotForThisDeviceError, UsageError
from support.workshop import Workshop


def test_runs_the_sealed_model(workshop: Workshop) -> None:
    with workshop.open(workshop.seal(workshop.model(weight=3.0))) as session:
        outputs = session.run({"x": np.ones((2, 4), np.float32)})
    assert outputs["y"].tolist() == [[3.0] * 4] * 2


def test_report_says_what_was_checked(workshop: Workshop) -> None:
    with workshop.open(workshop.seal(epoch=7, release="1.2")) as session:
        report = session.report
    assert (report.model, report.epoch, report.release, report.device_id) == (
        "acme/detector",
        7,
        "1.2",
        "pi-17",
    )
    assert report.signer is not None
    assert report.signer.startswith("key sha256:")


def test_a_wrong_input_does_not_reach_the_model(workshop: Workshop) -> None:
    with workshop.open(workshop.seal()) as session, pytest.raises(InputError) as caught:
        session.run({"x": np.full((2, 4), np.nan, np.float32)})
    assert [finding.code for finding in caught.value.findings] == ["not-finite"]


def test_a_tightened_contract_is_enforced(workshop: Workshop) -> None:
    bundle = workshop.seal(contract={"x": {"minimum": 0.0, "maximum": 1.0, "shape": [1, 4]}})
    with workshop.open(bundle) as session:
        session.run({"x": np.ones((1, 4), np.float32)})
        with pytest.raises(InputError):
            session.run({"x": np.full((1, 4), 1.5, np.float32)})
        with pytest.raises(InputError):
            session.run({"x": np.ones((2, 4), np.float32)})


def test_a_foreign_device_is_told_what_grants_there_are(workshop: Workshop) -> None:
    foreign = workshop.identity(workshop.new_device("other"))
    with pytest.raises(NotForThisDeviceError, match="1 grant: hpke-p256"):
        workshop.open(workshop.seal(), identity=foreign)


def test_a_closed_session_says_so(workshop: Workshop) -> None:
    session = workshop.open(workshop.seal())
    session.close()
    session.close()
    with pytest.raises(UsageError, match="closed"):
        session.run({"x": np.ones((1, 4), np.float32)})
    with pytest.raises(UsageError, match="closed"):
        _ = session.native


def test_a_forked_child_gets_an_error_instead_of_a_crash(workshop: Workshop) -> None:
    with workshop.open(workshop.seal()) as session:
        child = os.fork()
        if child == 0:
            try:
                session.run({"x": np.ones((1, 4), np.float32)})
            except UsageError:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        session.run({"x": np.ones((1, 4), np.float32)})


def test_what_native_gave_is_warned_of_when_it_outlives_the_session(workshop: Workshop) -> None:
    session = workshop.open(workshop.seal())
    held = session.native.get_inputs()
    with pytest.warns(RuntimeWarning, match="still holds the runtime"):
        session.close()
    assert held


def test_an_error_that_somebody_keeps_does_not_hold_the_runtime(workshop: Workshop) -> None:
    session = workshop.open(workshop.seal())
    engine = weakref.ref(session._runner.engine)
    session.contract = None
    with pytest.raises(UsageError) as caught:
        session.run({"x": np.ones((1, 7, 7), np.float32)})
    session.close()
    assert engine() is None
    assert "onnxruntime cannot run" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="memory of forked children is Linux's")
def test_a_runtime_taken_into_a_forked_child_faults_instead_of_computing_on_zeros(workshop: Workshop) -> None:
    with workshop.open(workshop.seal(workshop.model(size=4096)), profile="single-copy") as session:
        native, x = session.native, np.ones((1, 4096), np.float32)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            native.run(None, {"x": x})
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGSEGV
        assert (session.run({"x": x})["y"] == 2).all()
