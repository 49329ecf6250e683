"""A model that took over its process turns on the session: by the channel, the terminal, the environment."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.errors import KeepError, RuntimeCrashedError, RuntimeTimeoutError, UnavailableError, UsageError
from modelkeep.isolation import ProcessIsolation
from modelkeep.session import Session
from support import intruder
from support.descriptors import open_descriptors, settled_descriptors
from support.processes import children, status
from support.workshop import MODEL_ID, Workshop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolated processes need Linux")


@pytest.fixture
def opened(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(intruder.install(workshop.folder / "site"))

    def opened(
        *, at_load: tuple[str, ...] = (), outputs: tuple[str, ...] | None = None, **settings: Any
    ) -> Session:
        isolation = ProcessIsolation(**({"timeout": 60} | settings))
        options = {"isolation": isolation, "runtime": intruder.PACKAGE}
        options |= {"at_load": list(at_load), "outputs": outputs}
        session = workshop.open(workshop.seal(), **options)
        session.contract = None
        return session

    return opened


def tell(session: Session, attempt: str) -> str:
    outcome = str(session.run({"x": np.array(attempt)})["x"].item())
    assert outcome.startswith("done "), outcome
    return outcome.removeprefix("done ")


def at_load(session: Session, number: int = 0) -> str:
    return str(session.run({})["load"].item().splitlines()[number])


# The channel


@pytest.mark.parametrize("count", [1, 2, 250])
def test_descriptors_that_nobody_asked_for_do_not_stay(opened: Any, count: int) -> None:
    with opened() as session:
        session.run({})
        before = settled_descriptors()
        with pytest.raises(RuntimeCrashedError, match="descriptors"):
            session.run({"x": np.array(f"give {count}")})
        assert open_descriptors() <= before


def test_the_time_for_a_run_is_for_all_of_its_packets(opened: Any) -> None:
    with opened(timeout=1) as session:
        start = time.monotonic()
        with pytest.raises(RuntimeTimeoutError):
            session.run({"x": np.array("drip 30")})
        assert time.monotonic() - start < 20


FLOAT = [["x", "<f4", [1], 0, 4]]


@pytest.mark.parametrize(
    "answers",
    [
        [["outputs", [["x", "<f4", [2**28], 0, 2**30]], [["x", "array"]]]],
        [["room", 2**40]],
        [["room", -1]],
        [["room", 64], ["room", 64], ["room", 64]],
        [["room", 64], ["room", 64]],
        [["room", 10**4000]],
        [["outputs", FLOAT * 2, [["x", "array"], ["y", "array"]]]],
        [["outputs", [["x", "<f4", [0, 2**62, 2**62], 0, 0]], [["x", "array"]]]],
        [["outputs", [["x", "f4,f4", [0], 0, 0]], []]],
        [["outputs", [["x", "(9,)f4", [0], 0, 0]], []]],
        [["outputs", [["x", "<f4", [0], 0, 0]], [[[[[[[["x"]]]]]]]]]],
        [["outputs", [], {"x": {"x": 2**70}}]],
        [["error", "KeepError", "x" * 100_000, None]],
        [["error", "KeepError", 1, None]],
        [["outputs", [["x", "<f4", [4], 0, 16], ["y", "<f4", [4], 8, 16]], [["x", "array"], ["y", "array"]]]],
        [["outputs", [["x", "|O8", [1], 0, 8]], [["x", "array"]]]],
        [["outputs", "x"]],
        [["outputs"]],
        [["progress", 1]],
        [["ready"]],
        ["[" * 100_000],
    ],
    ids=lambda answers: json.dumps(answers)[:40],
)
def test_answers_that_are_none_end_the_process(opened: Any, answers: list[Any]) -> None:
    running = children()
    with opened(output_limit=2**20) as session:
        with pytest.raises(KeepError):
            session.run({"x": np.array(f"answer {json.dumps(answers)}")})
        assert children() == running


@pytest.mark.parametrize("where", ["first", "later"])
def test_a_packet_that_is_too_long_is_not_waited_for(opened: Any, where: str) -> None:
    running = children()
    with opened(timeout=20) as session:
        with pytest.raises(RuntimeCrashedError, match="packet is too long"):
            session.run({"x": np.array(f"swell {where}")})
        assert children() == running


@pytest.mark.parametrize(
    ("forms", "words"),
    [
        ([["load", "array"], ["x", "array"]], "another kind"),
        ([["load", "array"]], "other outputs"),
        ([["load", "array"], ["z", "array"]], "other outputs"),
    ],
)
def test_outputs_are_those_that_were_announced(opened: Any, forms: Any, words: str) -> None:
    answer = ["outputs", [[f"{place}", "<f4", [0], 0, 0] for place in range(len(forms))], forms]
    with opened(outputs=("load", "x")) as session:
        tell(session, "environment ")
        with pytest.raises(RuntimeCrashedError, match=words):
            session.run({"x": np.array(f"answer {json.dumps([answer])}")})


def test_saying_that_the_filters_are_in_force_does_not_help(opened: Any) -> None:
    running = children()
    ready = json.dumps([["ready", 0, 0, False, None, ["seccomp: nothing but computing"], []]])
    with pytest.raises(RuntimeCrashedError, match="nonsense"):
        opened(at_load=(f"answer {ready}", "wait 10"))
    assert children() == running


def test_a_large_output_costs_the_session_no_more_than_the_limit(opened: Any) -> None:
    with opened(output_limit=2**20) as session, pytest.raises(UnavailableError, match="more than the limit"):
        session.run({"x": np.array("repeat 2000000")})


def test_words_of_the_process_cannot_steer_a_terminal(opened: Any) -> None:
    answer = json.dumps([["error", "UsageError", "a\x1b]0;b\x07\nc\u202e", "hint\x1b[2J" + "x" * 10_000]])
    with opened() as session, pytest.raises(UsageError) as caught:
        session.run({"x": np.array(f"answer {answer}")})
    assert str(caught.value).isprintable()
    assert caught.value.hint is not None
    assert caught.value.hint.isprintable()
    assert len(caught.value.hint) < 2000


def test_running_from_a_signal_handler_in_the_middle_of_a_run_is_refused(opened: Any) -> None:
    session = opened()
    caught: list[BaseException] = []

    def handler(*_details: object) -> None:
        for action in (lambda: session.run({}), session.close):
            try:
                action()
            except UsageError as error:
                caught.append(error)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        tell(session, "wait 1")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(caught) == 2
    session.run({})
    session.close()


# The terminal, the environment, what the session has open


def test_the_process_has_no_terminal(opened: Any) -> None:
    running = children()
    with opened(at_load=("terminals ",)) as session:
        (pid,) = children() - running
        assert os.getsid(pid) == pid
        assert at_load(session).endswith("done []")


def test_what_it_writes_is_logged_without_control_characters(
    opened: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, "modelkeep.isolation"), opened() as session:
        tell(session, f"say {json.dumps('plain' + chr(27) + '[31m' + chr(10) + 'x' * 10_000)}")
        for _ in range(3):
            session.run({"x": np.array(f"say {json.dumps('y' * 60_000)}")})
    assert any("plain?[31m" in message for message in caplog.messages)
    assert all(message.isprintable() for message in caplog.messages)
    assert sum(map(len, caplog.messages)) < 100_000
    assert capfd.readouterr().err == ""


def test_secrets_in_the_environment_are_not_passed_on(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELKEEP_PASSPHRASE", "correct horse")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "correct horse")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with opened() as session:
        environment = json.loads(tell(session, "environment "))
    assert "correct horse" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["PATH"] == ""


# Standard ones, the channel, and the memory that both sides share, each twice.
MOST_OPEN = 3 + 1 + 4


def test_it_has_no_descriptors_of_the_session(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"secret")
    with path.open("rb") as file, path.open("rb") as other:
        for each in (file, other):
            os.set_inheritable(each.fileno(), True)
        with opened() as session:
            session.run({})
            assert len(json.loads(tell(session, "descriptors "))) <= MOST_OPEN


def test_what_a_runtime_leaves_open_is_closed(opened: Any) -> None:
    with opened(at_load=(f"keep_open {os.__file__}",)) as session:
        assert at_load(session).endswith("done 2")
        assert len(json.loads(tell(session, "descriptors "))) <= MOST_OPEN


def test_it_has_no_capabilities(opened: Any) -> None:
    running = children()
    with opened():
        (pid,) = children() - running
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status(pid, kind), 16) == 0
        if os.geteuid() == 0:
            assert int(status(pid, "CapBnd"), 16) == 0


def test_a_model_that_takes_over_while_it_is_loaded_reads_libraries_alone(
    opened: Any, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workshop.folder)
    monkeypatch.syspath_prepend(workshop.folder)
    files = (workshop.device, "/etc/passwd", "/proc/1/status", f"/proc/{os.getpid()}/maps", os.__file__)
    with opened(at_load=tuple(f"read {file}" for file in files)) as session:
        outcomes = [at_load(session, number) for number in range(len(files))]
    assert ["refused" in outcome for outcome in outcomes] == [True] * 4 + [False]


_HOST = """
import sys
sys.path[:0] = [sys.argv[1]]
import numpy as np
from modelkeep.keys.identity import Identity
from modelkeep.opening import open_session
from modelkeep.trust.verifier import Verifier

_site, bundle, public, device, model = sys.argv[1:]
identity, verifier = Identity("file:" + device), Verifier(public, model=model)
session = open_session(bundle, identity=identity, verifier=verifier, isolation="process", runtime="intruder")
session.contract = None
print(flush=True)
session.run({"x": np.array("hang")})
"""


def test_a_process_that_holds_its_lock_ends_with_a_session_that_was_killed(workshop: Workshop) -> None:
    public = workshop.folder / "publisher.pub"
    public.write_bytes(workshop.publisher_public)
    site = intruder.install(workshop.folder / "site")
    arguments = [site, workshop.seal(), public, workshop.device, MODEL_ID]
    command = [sys.executable, "-c", _HOST, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        host.stdout.readline()
        (pid,) = children(host.pid)
        with os.fdopen(os.pidfd_open(pid)) as process:
            assert select.select([process], [], [], 0.5)[0] == []
            host.kill()
            assert select.select([process], [], [], 60)[0] != []
