"""The report as one page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from modelkeep.guard_report import plots

_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}th,td{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}"
    "th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}"
)
_UNLIKELY = 0.01


def page(result: dict[str, Any]) -> str:
    """Returns the page for what `measure_guard` returns."""
    sections = (
        _clean(result["clean"]),
        _distributions(result["clean"]["rules"]),
        _faults(result["faults"]),
        _attacks(result["attacks"], result["settings"]),
        _latency(result["latency"]),
    )
    about = (
        f"Model {result['model'][:16]}, alpha {result['alpha']:g} for each stage, delta {result['delta']:g}. "
        "This page holds thresholds, which help to get past the guard: keep it from those who send inputs."
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Guard report</title>'
        f"<style>{_STYLE}</style><h1>Guard report</h1><p>{escape(about)}</p>{''.join(sections)}</html>\n"
    )


def _clean(clean: dict[str, Any]) -> str:
    rows = [
        [name, str(stage["alarms"]), _percent(stage["rate"]), _percent(stage["promised"]), _verdict(stage)]
        for name, stage in clean["stages"].items()
    ]
    text = (
        f"<p>{clean['samples']} clean samples. The last column is the chance of at least as many alarms "
        "if the true rate were the promised one. It means nothing if the profile was learned from "
        "these samples.</p>"
    )
    return _section("False alarms", text + _table(["stage", "alarms", "rate", "promised", "chance"], rows))


def _verdict(stage: dict[str, Any]) -> str:
    unlikely = " (too many)" if stage["chance"] < _UNLIKELY else ""
    return f"{stage['chance']:.2g}{unlikely}"


def _distributions(rules: Sequence[dict[str, Any]]) -> str:
    figures = [
        f"<h3>{escape(rule['stage'])} / {escape(rule['rule'])} of {escape(rule['subject'])}</h3>"
        + plots.distribution(rule)
        for rule in rules
    ]
    text = "<p>Scores of the clean samples; right of the line, a score is an alarm.</p>"
    return _section("Scores", text + "".join(figures))


def _faults(faults: Sequence[dict[str, Any]]) -> str:
    stages = ("contract", "signal", "model", "any")
    bars = plots.shares([(row["fault"], [row[stage] for stage in stages]) for row in faults], stages)
    rows = [[row["fault"], _percent(row["changed"]), _percent(row["any"])] for row in faults]
    table = _table(["fault", "prediction changed or refused", "alarm of any stage"], rows)
    return _section("Faults", "<p>Share of faulty samples that are alarms, by stage.</p>" + bars + table)


def _attacks(attacks: Sequence[dict[str, Any]] | None, settings: dict[str, Any]) -> str:
    if attacks is None:
        return _section("Attacks", "<p>The model gives no scores of classes: nothing was attacked.</p>")
    legend = ("without guard", "unseen by the guard", "made for the guard")
    bars = plots.shares(
        [(row["attack"], [row["won"], row["unseen"], row["adaptive"]]) for row in attacks], legend
    )
    rows = [
        [
            row["attack"],
            *(_percent(row[what]) for what in ("won", "unseen", "adaptive")),
            f"{row['tries']:.0f}",
        ]
        for row in attacks
    ]
    text = (
        f"<p>Each on {attacks[0]['samples']} samples with at most {settings['tries']} tries, no gradients; "
        f"elements change by at most {settings['reach']:.3g} of the range, but for patch and boundary. "
        "An attack wins when the predicted class changes. Made for the guard: it keeps only what gives no "
        "alarm. These are lower bounds: with gradients and patience an attacker does better.</p>"
    )
    return _section("Attacks", text + bars + _table(["attack", *legend, "tries"], rows))


def _latency(latency: dict[str, dict[str, float]]) -> str:
    rows = [[name, f"{each['median']:.0f}", f"{each['slow']:.0f}"] for name, each in latency.items()]
    return _section("Time", _table(["what", "median, µs", "95 %, µs"], rows))


def _section(title: str, content: str) -> str:
    return f"<h2>{title}</h2>{content}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"<tr>{_cells('th', header)}</tr>", *(f"<tr>{_cells('td', row)}</tr>" for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
