"""The page of a report: it stands alone, says what the JSON says, and copes with every result."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.cli import main
from modelkeep.errors import UsageError
from modelkeep.guard import GuardProfile
from modelkeep.guard_report import Settings, measure_guard, measure_session, write_report
from modelkeep.guard_report.page import page
from modelkeep.guard_report.plots import axis
from modelkeep.guard_report.shares import share
from modelkeep.guard_report.style import COLOURS
from modelkeep.guard_report.verdict import sentences, tone, worst_first
from modelkeep.guard_report.words import few
from modelkeep.learning import learn
from support.classifier import classifier
from support.reported import SMALL, held_out, predictions, reported
from support.workshop import Workshop


class Reader(HTMLParser):
    """Notes tags, links, texts, and whether every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.is_nested = True

    def handle_starttag(self, tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attributes if name in {"src", "href", "xlink:href"}]
        if tag not in {"meta", "html"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.is_nested &= tag == "html" or self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    shop = Workshop(tmp_path_factory.mktemp("page"))
    model = classifier(shop.folder / "net.onnx")
    labels = predictions(shop.folder, held_out())
    with shop.open(shop.seal(model, guard=reported())) as session:
        return measure_session(held_out(), session, labels=labels, settings=SMALL)


def test_the_page_stands_alone_and_the_json_says_the_same(result: dict[str, Any], tmp_path: Path) -> None:
    result = copy.deepcopy(result)
    result["faults"][0]["fault"] = "<script>x</script>"
    result["source"]["model"] = '"><img src=x>'
    beside = write_report(result, tmp_path / "report.html")
    assert json.loads(beside.read_text()) == result
    text = (tmp_path / "report.html").read_text()
    reader = read(text)
    assert reader.seen.count("svg") == len(result["clean"]["rules"]) + (len(result["sample_sizes"]) > 1)
    assert not {"script", "img", "link", "iframe", "object", "style-sheet"} & set(reader.seen)
    assert reader.links == []
    assert reader.is_nested
    # Nothing is fetched from anywhere, in whatever spelling.
    markup = re.sub("&lt;.*?&gt;", "", text)
    assert not re.search(r"https?:|//|src\s*=|url\(|@import", markup)


def test_the_page_says_what_was_measured(result: dict[str, Any]) -> None:
    text = " ".join(read(page(result)).texts)
    source = result["source"]
    assert all(str(source[name]) in text for name in ("model", "bundle", "signer", "epoch"))
    assert "about every one" in text
    assert "accuracy 100 % [88 to 100]" in text
    assert "3 samples are few" in text
    assert few(200) == ""
    for row in (*result["faults"], *result["attacks"]):
        assert row.get("fault", row.get("attack")) in text
    for stage in ("contract", "signal", "model", "any stage"):
        assert stage in text
    for rule in result["clean"]["rules"]:
        assert f"threshold {rule['threshold']:.4g}" in text
    assert "1 of them" in " ".join(read(page({**result, "callers": {"asked": 9, "differ": 1}})).texts)


def test_no_text_of_a_plot_lies_outside_or_over_another(result: dict[str, Any]) -> None:
    """Widths are those of wide letters, so that another font does not change the outcome."""
    longest = copy.deepcopy(result)
    for row in longest["faults"]:
        row["any"] = share(6, 6)
    for plot in re.findall(r"<svg.*?</svg>", page(longest), re.DOTALL):
        boxes = []
        for x, y, anchor, text in re.findall(
            r'<text x="([-\d.]+)" y="([-\d.]+)" text-anchor="(\w+)"[^>]*>([^<]*)</text>', plot
        ):
            width = 7.2 * len(text)
            left = float(x) - (width if anchor == "end" else 0)
            assert left >= 0, text
            assert left + width <= 362, text
            boxes.append((left, left + width, float(y) - 10, float(y) + 3))
        for place, (left, right, top, bottom) in enumerate(boxes):
            for other in boxes[place + 1 :]:
                apart = right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top
                assert apart, (place, boxes[place], other)


def test_the_verdict_comes_first_and_the_worst_fault_before_the_others(result: dict[str, Any]) -> None:
    changed = copy.deepcopy(result)
    for row, caught, accepted in zip(changed["faults"], (6, 0, 3, 6), (0, 5, 0, 0), strict=False):
        row |= {"any": share(caught, 6), "accepted": share(accepted, 6)}
    for row in changed["faults"][4:]:
        row |= {"any": share(6, 6), "accepted": share(0, 6)}
    names = [row["fault"] for row in changed["faults"]]
    assert [row["fault"] for row in worst_first(changed["faults"])][:2] == [names[1], names[2]]
    catches, misses, costs = sentences(changed)
    assert f"{len(names) - 2} of {len(names)}" in catches and names[1] not in catches
    assert misses.endswith(f"{names[1]} (83 %).")
    assert "as promised" in costs and "inference" in costs
    text = page(changed)
    assert text.index(catches[:20]) < text.index("<h2>")
    assert re.search(rf"Measured on 20\d\d-\d\d-\d\d with modelkeep {result['modelkeep']}", text)
    assert " MB" in text and "prefers-color-scheme:dark" in text and "max-width:38em" in text
    changed["clean"]["any"] |= {"chance": 1e-9}
    assert "more than was promised" in sentences(changed)[2]
    assert tone(changed) != tone(result)


def test_axes_have_few_ticks_and_are_logarithmic_where_numbers_differ_by_much() -> None:
    assert axis(0.001, 1000, 0, 60).ticks == (0.001, 0.01, 0.1, 1, 10, 100, 1000)
    assert axis(0.001, 1000, 0, 60).place(1) == pytest.approx(30)
    for low, high in ((-15.2, -0.1), (0, 1), (3, 3), (2.1, 9.7), (0.98, 1)):
        scale = axis(low, high, 0, 100)
        assert len(scale.ticks) <= 6
        assert all(-1e-6 <= scale.place(tick) <= 100 + 1e-6 for tick in scale.ticks)


def test_six_stages_have_six_colours(result: dict[str, Any]) -> None:
    """A profile may have more stages than today's: the page takes them as they come."""
    more = copy.deepcopy(result)
    for row in (*more["faults"], *more["attacks"]):
        row["alarms"] |= {"squeeze": share(1, 3), "another": share(2, 3)}
    more["clean"]["stages"]["squeeze"] = more["clean"]["stages"]["signal"]
    more["latency"]["squeeze"] = {"median": 1.0, "slow": 2.0}
    reader = read(page(more))
    assert reader.is_nested
    assert reader.texts.count("squeeze") >= 4
    assert len(set(COLOURS)) == len(COLOURS) >= 6


@pytest.mark.parametrize(
    "change",
    [
        {"attacks": None},
        {"attacks": [{"attack": "square", "samples": 0}]},
        {"callers": None, "source": {"kind": "plain"}},
    ],
    ids=["nothing attackable", "nothing right", "plain"],
)
def test_the_page_copes_with_less(result: dict[str, Any], change: dict[str, Any]) -> None:
    text = " ".join(read(page({**result, **change})).texts)
    if "attacks" in change:
        assert "nothing was attacked" in text
    else:
        assert "A plain model of " in text
        assert "What callers see" not in text


def test_a_report_on_a_model_without_scores_of_classes(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    model = shop.model(size=6)
    samples = [{"x": each} for each in np.random.default_rng(1).normal(0, 1, (400, 1, 6)).astype(np.float32)]
    profile = learn(samples[:300], model=model, alpha=0.1, delta=0.1)
    blind = GuardProfile(**{**_fields(profile), "outputs": None, "stages": profile.stages[:1]})
    result = measure_guard(samples[300:], model=model, profile=blind, settings=Settings(faulty=3))
    assert result["attacks"] is None
    assert list(result["clean"]["stages"]) == ["signal"]
    assert "nothing was attacked" in page(result)
    labels = [np.array(0)] * 100
    with pytest.raises(UsageError, match="scores of classes"):
        measure_guard(samples[300:], model=model, profile=blind, labels=labels)


def _fields(profile: GuardProfile) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in GuardProfile.__slots__}


def test_a_report_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    model = classifier(tmp_path / "net.onnx")
    np.savez(tmp_path / "many.npz", x=np.concatenate([each["x"] for each in held_out(8)]))
    reported().save(tmp_path / "guard.json")
    words = ["guard", "report", "--stacked", str(tmp_path / "many.npz"), "--model", str(model)]
    words += ["--guard", str(tmp_path / "guard.json"), "--attacked", "1", "--tries", "3", "-o"]
    assert main([*words, str(tmp_path / "out" / "a.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clean"]["samples"] == 8
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.html", "a.json"}
    assert main([*words, str(tmp_path / "out" / "a.html")]) == 2
    assert main([*words, str(tmp_path / "out" / "a.json"), "--force"]) == 2
    assert main([*words, str(tmp_path / "out" / "a.html"), "--force"]) == 0
