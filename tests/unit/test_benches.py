from __future__ import annotations

import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benches import chart, machine, readme, report
from benches.__main__ import README
from benches.compare import judged
from benches.peer import refuses_a_changed, same_content
from benches.runner import Result, Row, Settings, run_table
from benches.sample import Sample
from benches.tables import TABLES, Contestant, Table, Unit

SIZE = 3_000_000


def settings(scratch: Path) -> Settings:
    return Settings(rounds=1, seed=1, cold=False, scratch=scratch, say=lambda _line: None)


def table(*peers: str) -> Table:
    contestants = tuple(Contestant(f"row {n}", peer) for n, peer in enumerate(peers))
    return Table("trial", "Trial", "About.", Unit.BYTES, contestants)


def sample(wall: float = 0.5, **changes: float) -> Sample:
    values = {"wall": wall, "synced": 0.1, "cpu": 1.0, "run_cpu": 0.8} | changes
    return Sample(peak=4_000_000, detail="", **values)


def row(name: str, *samples: Sample, failure: str | None = None) -> Row:
    return Row(Contestant(name, "plain:Read"), Path(), [], list(samples), failure)


def test_a_real_run_gives_a_checked_sample_per_round(tmp_path: Path) -> None:
    result = run_table(table("modelkeep:Open", "plain:Read"), SIZE, settings(tmp_path))
    for measured in result.rows:
        assert measured.failure is None
        (taken,) = measured.samples
        assert taken.wall > 0
        assert taken.cpu >= taken.run_cpu > 0
        assert taken.peak > SIZE
    assert list(tmp_path.iterdir()) == []


def test_a_peer_that_fails_has_no_figures(tmp_path: Path) -> None:
    result = run_table(table("plain:Read", "nothing:Here"), SIZE, settings(tmp_path))
    assert result.rows[1].failure == "not installed: benches.peers.nothing"
    assert "| row 1 | not installed: benches.peers.nothing |" in report.section(result)


def test_a_failure_outweighs_samples_taken_before() -> None:
    rows = [row("ours", sample()), row("theirs", sample(0.001), failure="ValueError: wrong")]
    text = report.section(Result(TABLES[0], 10**9, rows))
    assert "| theirs | failed: ValueError: wrong |" in text
    assert "1000" not in text


def test_rates_ratios_and_costs_follow_from_the_samples() -> None:
    rows = [row("ours", sample(0.5), sample(0.25), sample(1.0)), row("theirs", sample(2.0))]
    text = report.section(Result(table("plain:Read"), 10**9, rows))
    assert "| ours | 2.00 (4.00) |  |  | 1.00 | 0.80 | 4 MB (0.00 N) |" in text
    assert "| theirs | 0.50 (0.50) | 4x |  |" in text


def test_a_row_is_held_against_its_floor() -> None:
    floor, above = Contestant("floor", "floor:Open"), Contestant("ours", "modelkeep:Open", "floor:Open")
    rows = [Row(each, Path(), [], [sample(wall)]) for each, wall in ((above, 0.3), (floor, 0.2))]
    text = report.section(Result(table("plain:Read"), 10**9, rows))
    assert "| ours | 3.33 (3.33) |  | 1.5x |" in text
    assert "| floor | 5.00 (5.00) | 0.67x |  |" in text


def test_the_page_says_when_the_machine_was_loaded(tmp_path: Path) -> None:
    facts = machine.facts(tmp_path)
    assert "loaded" in report.document([], facts, 0.4, settings(tmp_path))
    quiet = report.document([], facts, 0.01, settings(tmp_path))
    assert "loaded" not in quiet
    assert str(tmp_path) not in quiet


def test_readme_takes_the_figures_between_its_marks() -> None:
    tables = [table for table in TABLES if table.key in ("open", "seal", "verify")]
    results = [
        Result(table, size, [Row(each, Path(), [], [sample()]) for each in table.contestants])
        for table in tables
        for size in (4 * 10**6, 10**9)
    ]
    page = readme.replaced(README.read_text(), readme.figures(results, 0.01))
    assert "| modelkeep | 2.00 | | modelkeep | 2.00 | | modelkeep, all digests | 2.00 |" in page
    assert "a file of 1 GB" in page
    assert page.count(readme.BEGIN) == page.count(readme.END) == 1
    assert page.endswith(README.read_text().partition(readme.END)[2])


def test_the_chart_is_well_formed_and_leaves_failures_out() -> None:
    rows = [row("**modelkeep** <a>", sample()), row("theirs", failure="ValueError: wrong")]
    picture = chart.draw([Result(TABLES[0], 10**9, rows)])
    assert picture is not None
    texts = [element.text for element in ElementTree.fromstring(picture).iter() if element.text]
    assert "modelkeep <a>" in texts
    assert "theirs" not in texts


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([1.0, 1.1, 1.2], [1.3, 1.4, 1.5], "slower"),
        ([1.3, 1.4, 1.5], [1.0, 1.1, 1.2], "faster"),
        ([1.0, 1.1, 1.3], [1.2, 1.4, 1.5], ""),
        ([1.00, 1.01, 1.02], [1.03, 1.035, 1.04], ""),
    ],
)
def test_a_row_has_changed_when_no_sample_lies_among_the_others(
    before: list[float], after: list[float], verdict: str
) -> None:
    assert judged(before, after) == verdict


@pytest.mark.parametrize("found", [b"", b"originaL", b"original!"])
def test_other_content_is_noticed(tmp_path: Path, found: bytes) -> None:
    (tmp_path / "source").write_bytes(b"original")
    same_content(b"original", tmp_path / "source")
    with pytest.raises(ValueError, match="not the original"):
        same_content(found, tmp_path / "source")


def test_a_verifier_that_accepts_anything_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(10))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="accepted"):
        refuses_a_changed(path, lambda: None)
    assert path.read_bytes() == before


def test_every_row_names_a_peer_that_exists() -> None:
    folder = Path(sys.modules["benches"].__file__ or "").parent / "peers"
    peers = {each.peer for table in TABLES for each in table.contestants}
    for contestant in (each for table in TABLES for each in table.contestants):
        assert contestant.floor is None or contestant.floor in peers
        module, _, name = contestant.peer.partition(":")
        assert f"class {name}(" in (folder / f"{module}.py").read_text()
