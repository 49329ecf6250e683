"""Power that goes at any moment: what was reported is there, and what was there is not lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modelkeep.bundle.access import Access
from modelkeep.device.state_place import FOLDER_VARIABLE
from modelkeep.errors import KeepError, RollbackError
from modelkeep.extraction import extract
from modelkeep.granting import grant
from modelkeep.grants import sidecar
from modelkeep.storage import Replacement, write_at, write_file
from modelkeep.updates.installation import install
from modelkeep.updates.slots import Slots
from support import paper
from support.disk import largest_file
from support.paper import PaperCounter, new_state
from support.power import PowerCuts
from support.workshop import MODEL_ID, Workshop

WRITTEN = ["fsync file", "link", "fsync folder", "unlink"]
REPLACED = ["fsync file", "replace", "fsync folder"]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device's disk, on which its states are, too."""
    folder = tmp_path / "device"
    folder.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder / "states" / "here"))
    return folder


def play(cuts: PowerCuts, check: Callable[[], None]) -> None:
    assert cuts.images
    for image in cuts.images:
        cuts.restore(image)
        check()


def test_the_order_in_which_files_become_durable(disk: Path) -> None:
    path = disk / "file"
    for force, expected in ((False, WRITTEN), (True, REPLACED)):
        cuts = PowerCuts(disk)
        with cuts.watching():
            write_file(path, b"content", force=force)
        # What a file was called meanwhile may come back; the next writer removes it.
        assert cuts.events[: len(expected)] == expected
        for image in cuts.last:
            assert image["file"] == b"content"


def test_a_replaced_file_is_the_old_one_or_the_new_one(disk: Path) -> None:
    path = disk / "file"
    path.write_bytes(b"old")
    cuts = PowerCuts(disk)
    with cuts.watching(), Replacement(path, force=True) as new:
        write_at(new.descriptor, memoryview(b"new"), 0)
        new.commit()

    def check() -> None:
        assert path.read_bytes() in (b"old", b"new")

    play(cuts, check)


def test_what_was_extracted_stays_in_folders_below_too(workshop: Workshop, disk: Path) -> None:
    folder = workshop.folder / "net"
    (folder / "below" / "that").mkdir(parents=True)
    (folder / "graph.param").write_bytes(b"graph")
    (folder / "below" / "that" / "weights.bin").write_bytes(b"weights")
    bundle = workshop.seal(folder)
    cuts = PowerCuts(disk)
    with cuts.watching():
        extract(
            bundle,
            disk / "out",
            identity=workshop.identity(),
            verifier=workshop.verifier(),
            unsafe_plaintext=True,
        )
    for image in cuts.last:
        found = {name: content for name, content in image.items() if content is not None}
        assert found == {"out/graph.param": b"graph", "out/below/that/weights.bin": b"weights"}


def test_grants_that_were_reported_stay(workshop: Workshop, disk: Path) -> None:
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")])
    target = disk / "model.grants"

    def give(name: str) -> None:
        device = workshop.new_device(name).with_suffix(".pub")
        grant(bundle, identity=workshop.identity(), verifier=workshop.verifier(), to=device, output=target)

    cuts = PowerCuts(disk)
    with cuts.watching():
        give("one")
    assert cuts.events == ["fsync file", "fsync folder"]
    for image in cuts.last:
        cuts.restore(image)
        assert len(list(sidecar.read(target))) == 1
    cuts = PowerCuts(disk)
    with cuts.watching():
        give("two")
    assert cuts.events == ["fsync file"]
    for image in cuts.last:
        cuts.restore(image)
        assert len(list(sidecar.read(target))) == 2


def test_a_full_disk_leaves_no_empty_file_of_grants(workshop: Workshop, disk: Path) -> None:
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")])
    target = disk / "model.grants"
    access = {"identity": workshop.identity(), "verifier": workshop.verifier()}
    device = workshop.new_device("one").with_suffix(".pub")
    with largest_file(100), pytest.raises(KeepError):
        grant(bundle, to=device, output=target, **access)  # type: ignore[arg-type]
    assert not target.exists()
    grant(bundle, to=device, output=target, **access)  # type: ignore[arg-type]
    before = target.read_bytes()
    with largest_file(len(before) + 100), pytest.raises(KeepError):
        grant(bundle, to=device, output=target, **access)  # type: ignore[arg-type]
    assert target.read_bytes() == before


def test_an_installation_survives_a_cut_at_any_moment(workshop: Workshop, disk: Path) -> None:
    path = disk / "installed.keep"
    bundles = [workshop.seal(epoch=epoch) for epoch in (1, 2)]

    def put(bundle: Path) -> None:
        install(bundle, path, identity=workshop.identity(), verifier=workshop.verifier(), force=True)

    def epoch() -> int:
        with workshop.open(path) as session:
            return session.report.epoch

    cuts = PowerCuts(disk)
    with cuts.watching():
        put(bundles[0])
    for image in cuts.last:
        cuts.restore(image)
        assert epoch() == 1
    found = set()
    cuts = PowerCuts(disk)
    with cuts.watching():
        put(bundles[1])
    # It is current; then the file takes its name; then what was there before counts no more.
    assert cuts.events[-9:] == [*REPLACED, *REPLACED, *REPLACED]
    play(cuts, lambda: found.add(epoch()))
    assert found == {1, 2}
    for image in cuts.last:
        cuts.restore(image)
        assert epoch() == 2
        with pytest.raises(RollbackError):
            put(bundles[0])


def test_a_staged_release_is_all_there_when_that_was_reported(workshop: Workshop, disk: Path) -> None:
    access = Access(workshop.identity(), workshop.verifier())
    folder = disk / "slots"
    Slots.init(folder, MODEL_ID)
    cuts = PowerCuts(disk)
    with cuts.watching(), access:
        report = install(
            workshop.seal(), folder, identity=workshop.identity(), verifier=workshop.verifier(), force=True
        )
    content = report.path.read_bytes()
    name = report.path.relative_to(disk).as_posix()
    for image in cuts.last:
        assert image[name] == content


def test_a_counted_state_survives_a_cut_at_any_moment(disk: Path) -> None:
    counter = PaperCounter()
    state = new_state(counter)
    paper.install(state, 1)
    cuts = PowerCuts(disk)
    with cuts.watching():
        paper.stage(state, 2, epoch=2)
    assert cuts.events == REPLACED
    number = counter.number
    cuts = PowerCuts(disk)
    with cuts.watching(), state.committing(paper.MODEL, paper.name(2), paper.EVERYBODY):
        # The next one under a name of its own, then it is counted, then it takes the name.
        assert cuts.events == [*REPLACED, "replace", "fsync folder"]
        before = cuts.last
    for image in before:
        cuts.restore(image)
        assert paper.name(2) in state.look_at_file().models[paper.MODEL].installations
    assert number is not None
    assert counter.number == number + 2
    for image in cuts.last:
        cuts.restore(image)
        assert list(state.look().models[paper.MODEL].installations) == [paper.name(2)]
