"""The report on the guard of a sealed model: through its session, and what callers of it see."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.cli import main
from modelkeep.errors import InputError, UsageError
from modelkeep.guard.faults import MOST_FAULTS, faults_for
from modelkeep.guard_report import Settings, State, measure_guard, measure_session
from modelkeep.guard_report.attacks import ATTACKS, Task
from modelkeep.guard_report.quiet import quiet
from modelkeep.guard_report.search import Search
from modelkeep.guard_report.subject import Subject
from modelkeep.guard_report.tally import Tally
from modelkeep.session import Session
from support.classifier import classifier
from support.command_line import files
from support.reported import SMALL, held_out, predictions, reported, without_time
from support.workshop import MODEL_ID, Workshop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workshop with `net.onnx`, and `net.keep` sealed from it with a profile."""
    shop = Workshop(tmp_path_factory.mktemp("sealed"))
    model = classifier(shop.folder / "net.onnx")
    reported().save(shop.folder / "guard.json")
    shop.seal(model, guard=reported(), name="net.keep")
    return shop


@pytest.fixture
def session(shop: Workshop) -> Iterator[Session]:
    with shop.open(shop.folder / "net.keep") as session:
        yield session


def other_actions(shop: Workshop, **actions: str) -> Session:
    """Opens the model sealed with a profile that does other things."""
    model = shop.folder / "net.onnx"
    return shop.open(shop.seal(model, guard=reported().with_actions(**actions)))


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("seed", [1, 5])
def test_a_sealed_model_gives_the_report_of_the_plain_one(
    shop: Workshop, session: Session, tmp_path: Path, seed: int, labelled: bool
) -> None:
    samples = held_out()
    settings = Settings(faulty=6, attacked=3, tries=12, seed=seed)
    labels = predictions(tmp_path, samples) if labelled else None
    model = shop.folder / "net.onnx"
    plain = measure_guard(samples, model=model, profile=reported(), labels=labels, settings=settings)
    sealed = measure_session(samples, session, labels=labels, settings=settings)
    assert without_time(sealed) == without_time(plain)
    assert sealed["source"]["kind"] == "sealed"
    assert sealed["source"]["model"] == MODEL_ID
    assert sealed["source"]["bundle"] == session.report.bundle
    assert list(sealed["latency"]) == [*plain["latency"], "whole call"]


def test_an_isolated_model_and_an_installed_one_give_the_same_report(
    shop: Workshop, session: Session, tmp_path: Path
) -> None:
    import modelkeep

    expected = without_time(measure_session(held_out(), session, settings=SMALL))
    with shop.open(shop.folder / "net.keep", isolation="process") as isolated:
        result = measure_session(held_out(), isolated, settings=SMALL)
        assert without_time(result) == expected
        assert result["source"]["isolated"]
        assert result["callers"]["differ"] == 0
    installed = tmp_path / "installed.keep"
    modelkeep.install(shop.folder / "net.keep", installed, identity=shop.identity(), verifier=shop.verifier())
    with shop.open(installed) as opened:
        result = measure_session(held_out(), opened, settings=SMALL)
        assert without_time(result) == expected
        assert result["source"]["installed"]


@pytest.mark.parametrize(
    "actions",
    [{}, {"signal": "flag", "model": "reject"}, {"signal": "off", "model": "reject"}, {"model": "off"}],
    ids=str,
)
def test_callers_get_what_the_readings_say(shop: Workshop, actions: dict[str, str]) -> None:
    with other_actions(shop, **actions) as session:
        result = measure_session(held_out(), session, settings=SMALL)
        # All clean and faulty samples, and every input that won.
        assert result["callers"]["asked"] >= 30 + 6 * MOST_FAULTS
        assert result["callers"]["differ"] == 0
        refused = {row["fault"]: row["refused"]["count"] for row in result["faults"]}
        assert refused["all NaN"] == 6
        if actions.get("signal", "reject") == "reject":
            assert refused["x 255"] == 6


def test_the_session_itself_agrees_on_clean_faulty_and_attacked_samples(session: Session) -> None:
    assert session.guard is not None
    samples = held_out(20)
    subject = Subject(session.run_unchecked, session.contract, session.guard, samples[0])
    random = np.random.default_rng(3)
    tried = list(samples)
    for fault in faults_for(np.dtype(np.float32), subject.layout).values():
        for sample in samples[:4]:
            with np.errstate(all="ignore"):
                tried.append(subject.changed(sample, fault(sample["x"], subject.layout, random)))
    for attack in ATTACKS.values():
        start = samples[0]["x"].astype(np.float64)
        task = Task(start, samples[1]["x"].astype(np.float64), subject.layout, 0.2, random)
        truth = subject.ask(samples[0]).classes
        assert truth is not None
        found = Search(subject, samples[0], attack, task, adaptive=False).run(truth, 60)
        if found is not None:
            tried.append(subject.changed(samples[0], found.values))
    verdicts = []
    for sample in tried:
        try:
            session.run(sample)
            verdicts.append("accepted")
        except InputError:
            verdicts.append("refused")
    assert verdicts == [subject.ask(sample).verdict for sample in tried]
    assert {"accepted", "refused"} <= set(verdicts)
    assert len(tried) > 20 + 4 * MOST_FAULTS


def test_readings_that_callers_contradict_are_counted(shop: Workshop, session: Session) -> None:
    assert session.guard is not None
    with other_actions(shop, signal="flag") as lenient:
        # Callers of one model, readings of another one that rejects more.
        subject = Subject(session.run_unchecked, session.contract, session.guard, held_out()[0], lenient.run)
        tally = Tally(subject)
        for sample in (held_out(1)[0], {"x": held_out(1)[0]["x"] * np.float32(255)}):
            tally.add(sample, subject.ask(sample))
    assert tally.callers == {"asked": 2, "differ": 1}


def test_a_runtime_that_refuses_is_no_acceptance(shop: Workshop, session: Session) -> None:
    """What the contract leaves open, the model may not take: callers then get an error of the runtime."""
    assert session.guard is not None
    flags = session.guard.profile.with_actions(signal="flag")
    session.guard = type(session.guard)(flags)
    session.contract = None
    result = measure_session(held_out(), session, settings=SMALL)
    transposed = next(row for row in result["faults"] if row["fault"] == "transposed")
    assert transposed["refused"]["count"] == transposed["accepted"]["count"] == 0
    assert transposed["changed"]["count"] == transposed["alarms"]["signal"]["count"] == 6
    assert result["callers"]["differ"] == 0
    with pytest.raises(UsageError):
        session.run({"x": np.zeros((1, 3, 24, 24), np.float32)})


def test_a_state_is_for_one_bundle_and_one_runtime(shop: Workshop, session: Session, tmp_path: Path) -> None:
    path, settings = tmp_path / "state", Settings(faulty=1, attacked=1, tries=1)

    def samples_of(opened: Session, **options: Any) -> int:
        with State(path) as state:
            result = measure_session(held_out(), opened, settings=settings, state=state, **options)
        path.write_text(path.read_text().replace('"samples": 30', '"samples": 999', 1))
        return int(result["clean"]["samples"])

    assert samples_of(session) == 30
    assert samples_of(session) == 999
    with shop.open(shop.folder / "net.keep", isolation="process") as isolated:
        assert samples_of(isolated) == 999
    assert samples_of(session, runtime="onnx") == 30
    # The same model with the same profile, sealed again.
    with shop.open(shop.seal(shop.folder / "net.onnx", guard=reported())) as other:
        assert samples_of(other) == 30


def test_a_clean_sample_that_the_runtime_refuses_ends_the_report(session: Session) -> None:
    session.contract = None
    with pytest.raises(UsageError):
        measure_session([{"x": np.zeros((1, 20, 20, 3), np.float32)}], session, settings=SMALL)
    with pytest.raises(UsageError, match="input 'x' of a sample: not of 3 channels"):
        measure_session([{"x": np.zeros((1, 24, 24, 1), np.float32)}], session, settings=SMALL)


def test_a_bundle_without_a_profile_is_refused(shop: Workshop) -> None:
    with (
        shop.open(shop.seal(shop.folder / "net.onnx")) as session,
        pytest.raises(UsageError, match="no guard profile") as refusal,
    ):
        measure_session(held_out(), session, settings=SMALL)
    assert refusal.value.hint is not None
    assert "--guard" in refusal.value.hint


def test_a_model_that_runs_unchecked_is_neither_judged_nor_counted(session: Session) -> None:
    strange = held_out(1)[0]["x"] * np.float32(255)
    with pytest.raises(InputError):
        session.run({"x": strange})
    assert session.guard is not None
    before = session.guard.counters.counted().counts
    assert session.run_unchecked({"x": strange})["logits"].shape == (1, 4)
    assert session.guard.counters.counted().counts == before
    session.close()
    with pytest.raises(UsageError, match="closed"):
        session.run_unchecked({"x": strange})


def test_what_a_report_provokes_is_not_logged(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    measure_session(held_out(), session, settings=SMALL)
    assert caplog.records == []
    with pytest.raises(InputError):
        session.run({"x": held_out(1)[0]["x"] * np.float32(255)})
    assert caplog.records != []


def test_other_threads_go_on_logging(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("quiet.test")
    with quiet("quiet.test"):
        log.warning("here")
        other = threading.Thread(target=log.warning, args=("there",))
        other.start()
        other.join()
    assert caplog.messages == ["there"]


class Commands:
    """Reports from the command line, in a folder with keys, a bundle and samples."""

    def __init__(self, shop: Workshop, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capture = folder, capture
        pictures = np.concatenate([each["x"] for each in held_out(8)])
        classes = np.concatenate(predictions(folder, held_out(8)))
        (folder / "predicting.onnx").unlink()
        np.savez(folder / "many.npz", x=pictures)
        np.savez(folder / "labelled.npz", x=pictures, label=classes)
        np.savez(folder / "uneven.npz", x=pictures, label=classes[1:])
        np.save(folder / "x.npy", pictures)
        np.save(folder / "classes.npy", classes)
        for number in range(2):
            np.savez(folder / f"call-{number}.npz", x=pictures[number : number + 1])
        (folder / "publisher.pub").write_bytes(shop.publisher_public)
        self.key = ["-k", f"file:{shop.device}", "-t", str(folder / "publisher.pub"), "--model-id", MODEL_ID]
        self.small = ["--attacked", "1", "--tries", "3", "--faulty", "2", "-o", str(folder / "out.html")]
        self.bundle = str(shop.folder / "net.keep")
        self.plain = [
            "--model", str(shop.folder / "net.onnx"), "--guard", str(shop.folder / "guard.json")
        ]  # fmt: skip

    def __call__(self, *words: str) -> tuple[int, str]:
        """Returns the exit code and what went to standard error, with `@name` for files of the folder."""
        self._capture.readouterr()
        named = [str(self.folder / word[1:]) if word.startswith("@") else word for word in words]
        code = main(["guard", "report", *named, *self.small])
        return code, self._capture.readouterr().err

    def result(self) -> Any:
        """Returns the report that was written, and removes it."""
        result = json.loads((self.folder / "out.json").read_text())
        for name in ("out.json", "out.html"):
            (self.folder / name).unlink()
        return result


@pytest.fixture
def report(shop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(shop, tmp_path, capsys)


def test_options_may_stand_between_the_bundle_and_the_samples(report: Commands) -> None:
    before = files(report.folder)
    assert report(report.bundle, *report.key, "--stacked", "@many.npz")[0] == 0
    sealed = report.result()
    assert sealed["source"]["kind"] == "sealed"
    assert sealed["clean"]["samples"] == 8
    assert files(report.folder) == before
    for words in (
        [*report.key, report.bundle, "@call-0.npz", "@call-1.npz"],
        [report.bundle, "@call-0.npz", *report.key, "@call-1.npz"],
        [report.bundle, *report.key, "@call-0.npz", "--isolated", "@call-1.npz"],
    ):
        assert report(*words)[0] == 0
        assert report.result()["clean"]["samples"] == 2


def test_samples_of_a_plain_model_stand_wherever_they_like(report: Commands) -> None:
    for words in (
        [*report.plain, "@call-0.npz", "@call-1.npz"],
        ["@call-0.npz", *report.plain, "@call-1.npz"],
        ["@call-0.npz", "@call-1.npz", *report.plain],
    ):
        assert report(*words)[0] == 0
        result = report.result()
        assert result["clean"]["samples"] == 2
        assert result["source"] == {"kind": "plain"}


def test_labels_from_the_command_line(report: Commands) -> None:
    sealed = [report.bundle, *report.key]
    assert report(*sealed, "--stacked", "@labelled.npz", "--labels", "label")[0] == 0
    assert report.result()["clean"]["accuracy"]["share"] == 1
    npy = ["@x.npy", "--input", "x", "--labels", str(report.folder / "classes.npy")]
    for more in ([], ["--stacked"]):
        assert report(*sealed, *npy, *more)[0] == 0
        assert report.result()["clean"]["accuracy"]["of"] == 8
    np.save(report.folder / "one.npy", np.array([1, 1]))
    assert report(*sealed, "@call-0.npz", "@call-1.npz", "--labels", str(report.folder / "one.npy"))[0] == 0
    assert report.result()["clean"]["accuracy"]["of"] == 2


def test_labels_that_do_not_fit_are_refused(report: Commands) -> None:
    sealed = [report.bundle, *report.key]
    for words, message in (
        (["@many.npz", "--stacked", "--labels", "label"], "holds no array 'label'"),
        (["@uneven.npz", "--stacked", "--labels", "label"], "as many samples each"),
        (["@labelled.npz", "--stacked"], "breaks the model's contract"),
        (["@call-0.npz", "--labels", str(report.folder / "classes.npy")], "labels of shape (8,) for 1"),
        (["@call-0.npz", "--labels", str(report.folder / "x.npy")], "one number for each sample"),
        (["@call-0.npz", "--labels", str(report.folder / "gone.npy")], "no such file"),
    ):
        code, said = report(*sealed, *words)
        assert code in (2, 6), said
        assert message in said
    assert "out.html" not in files(report.folder)
    assert "out.html.state" not in files(report.folder)


def test_words_about_both_kinds_of_model_are_refused(report: Commands) -> None:
    for words, message in (
        ([*report.plain, *report.key, "@call-0.npz"], "--key is for a sealed model"),
        ([*report.plain, "--trust-threshold", "2", "@call-0.npz"], "--trust-threshold is for a sealed model"),
        ([*report.plain, "--isolated", "@call-0.npz"], "--isolated is for a sealed model"),
        ([report.bundle, *report.key, *report.plain[2:], "@call-0.npz"], "--guard is for a plain model"),
        ([report.bundle, *report.key, "--entry", "a", "@call-0.npz"], "--entry is for a plain model"),
        ([*report.plain[:2], "@call-0.npz"], "which profile"),
        (["@call-0.npz"], "neither -k"),
        ([*report.key, "@call-0.npz"], "the bundle comes first"),
        ([*report.key, "@call-0.npz", "@call-1.npz"], "the bundle comes first"),
        ([report.bundle, *report.key[:2], "@call-0.npz"], "nobody is trusted"),
    ):
        code, said = report(*words)
        assert code == 2, said
        assert message in said
        assert "hint" in said


def test_grants_and_installations_are_those_of_run(report: Commands, shop: Workshop) -> None:
    admin, late = shop.new_device("admin"), shop.new_device("late")
    model = shop.folder / "net.onnx"
    bundle = shop.seal(model, guard=reported(), admins=[admin.with_suffix(".pub")])
    grants, installed = report.folder / "late.grants", report.folder / "installed.keep"
    to = ["-r", str(late.with_suffix(".pub")), "--not-after", "+90d", "-o", str(grants)]
    assert main(["grant", str(bundle), "-k", str(admin), *to, *report.key[2:]]) == 0
    key = ["-k", f"file:{late}", *report.key[2:], "--grant", str(grants)]
    code, said = report(str(bundle), *key, "@call-0.npz")
    assert code == 0, said
    assert "note: expiry is advisory" in said
    granted = report.result()
    assert main(["install", str(bundle), *key, "-o", str(installed)]) == 0
    assert report(str(installed), *key[:-2], "@call-0.npz")[0] == 0
    result = report.result()
    assert result["source"]["installed"]
    assert without_time(result) == without_time(granted)


def test_a_stranger_learns_nothing(report: Commands, shop: Workshop) -> None:
    stranger = shop.new_device("stranger")
    code, said = report(report.bundle, "-k", f"file:{stranger}", *report.key[2:], "@call-0.npz")
    assert code == 4, said
    assert not {"out.html", "out.json", "out.html.state"} & files(report.folder)


def test_a_report_needs_no_plain_model_and_leaves_none(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(workshop.folder / "net.onnx")
    content = model.read_bytes()
    weights = content[len(content) // 2 :][:256]
    bundle = workshop.seal(model, guard=reported())
    model.unlink()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "publisher.pub").write_bytes(workshop.publisher_public)
    np.savez(tmp_path / "many.npz", x=np.concatenate([each["x"] for each in held_out(4)]))
    words = [str(bundle), "-k", str(workshop.device), "-t", str(tmp_path / "publisher.pub"), "--stacked"]
    words += [str(tmp_path / "many.npz"), "--attacked", "1", "--tries", "2", "-o", str(tmp_path / "out.html")]
    assert main(["guard", "report", *words]) == 0
    assert files(tmp_path / "temporary") == set()
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or weights not in path.read_bytes(), path
