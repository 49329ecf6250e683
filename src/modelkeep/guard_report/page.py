"""The report as one page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from modelkeep.guard.words import rounded_percent
from modelkeep.guard_report import attack_page, plots
from modelkeep.guard_report.bars import bars
from modelkeep.guard_report.style import STYLE
from modelkeep.guard_report.verdict import sentences, tone, worst_first
from modelkeep.guard_report.words import UNLIKELY, few, folded, of, paragraph, percent, section, table

_MEGABYTE = 1e6


def page(result: dict[str, Any]) -> str:
    """Returns the page for what `measure_guard` or `measure_session` returns."""
    sections = (
        _faults(result["faults"], result["clean"]),
        _clean(result["clean"]),
        _distributions(result["clean"]["rules"], result["alpha"]),
        _sizes(result["sample_sizes"], result["calibrated"]),
        *attack_page.sections(result["attacks"], result["settings"], result["clean"]["accuracy"] is not None),
        _callers(result["callers"]),
        _latency(result["latency"]),
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><title>Guard report</title>'
        f"<style>{STYLE}</style><h1>Guard report</h1>{_about(result)}{_verdict(result)}"
        f"{''.join(sections)}{_small_print(result)}</html>\n"
    )


def _about(result: dict[str, Any]) -> str:
    lines = (
        _source(result["source"], result["model"], result["size"]),
        f"Measured on {result['date']} with modelkeep {result['modelkeep']}; the profile was learned from "
        f"{result['fitted']} + {result['calibrated']} samples.",
    )
    return "".join(f'<p class="about">{escape(line)}</p>' for line in lines)


def _verdict(result: dict[str, Any]) -> str:
    text = "".join(paragraph(sentence) for sentence in sentences(result))
    return f'<div class="verdict" style="--tone:{tone(result)}">{text}</div>'


def _small_print(result: dict[str, Any]) -> str:
    actions = ", ".join(f"{stage} {_does(action)}" for stage, action in result["actions"].items())
    text = paragraph(
        f"Alpha {result['alpha']:g} for each stage, delta {result['delta']:g}; {actions}. "
        "Ranges in brackets and thin lines are exact 95 % intervals: what chance alone leaves open."
    ) + paragraph(
        "This page holds thresholds, which help to get past the guard: keep it from those who send inputs."
    )
    return section("About these figures", text)


def _does(action: str) -> str:
    return {"reject": "rejects", "flag": "flags"}.get(action, "is off")


def _source(source: dict[str, Any], digest: str, size: int) -> str:
    model = f"model of {size / _MEGABYTE:.3g} MB"
    if source["kind"] == "plain":
        return f"A plain {model}, digest {digest[:16]}."
    where = "an isolated process" if source["isolated"] else "a session in memory"
    release = f" {source['release']}" if source["release"] else ""
    signed = f"signed by {source['signer']}" if source["signer"] else "signed by nobody"
    kind = "installation of bundle" if source["installed"] else "bundle"
    return (
        f"The sealed {model} {source['model']}{release}, epoch {source['epoch']}, {kind} "
        f"{source['bundle']}, {signed}, through {where}."
    )


def _faults(faults: Sequence[dict[str, Any]], clean: dict[str, Any]) -> str:
    ordered, samples = worst_first(faults), faults[0]["samples"]
    text = paragraph(
        f"Each on {samples} samples, the worst first: by the other answers that callers get, then by what no "
        f"stage sees. {few(samples)}"
    )
    shown = bars(
        [(row["fault"], (row["any"], row["accepted"])) for row in ordered],
        ("alarm of any stage", "callers get another answer"),
    )
    return section("Faults", text + shown + _by_stage(ordered)) + _over_time(ordered, clean["over_time"])


def _by_stage(ordered: Sequence[dict[str, Any]]) -> str:
    labelled = ordered[0]["accuracy"] is not None
    header = [
        "fault",
        *ordered[0]["alarms"],
        "any stage",
        "refused",
        "answer changed",
        "changed and accepted",
    ]
    rows = [
        [
            row["fault"],
            *(percent(each) for each in row["alarms"].values()),
            *(percent(row[what]) for what in ("any", "refused", "changed", "accepted")),
            *([percent(row["accuracy"])] if labelled else []),
        ]
        for row in ordered
    ]
    return folded(
        "By stage, with intervals", table([*header, *(["accuracy, if run"] if labelled else [])], rows)
    )


def _over_time(ordered: Sequence[dict[str, Any]], clean: dict[str, Any]) -> str:
    text = paragraph(
        "If every input has the fault from now on, as from a camera that got out of focus: after how many of "
        "them a stream guard notices, one alarm in ten million clean inputs granted. "
        f"Among {clean['frames']} clean ones: {_when(clean)}. "
        "It holds for inputs that do not depend on each other."
    )
    rows = [[row["fault"], _when(row["over_time"])] for row in ordered]
    return section("Faults that last", text + table(["fault", "inputs to the alarm"], rows))


def _when(seen: dict[str, Any]) -> str:
    if not seen["frames"]:
        return "cannot be read at all"
    return f"not within {seen['frames']}" if seen["alarm"] is None else str(seen["alarm"])


def _clean(clean: dict[str, Any]) -> str:
    text = paragraph(
        f"{clean['samples']} clean samples. The last column is the chance of at least as many alarms "
        "if the true rate were the promised one: a small one speaks against the promise. It means nothing if "
        "the profile was learned from these samples."
    )
    judged = {**clean["stages"], "any stage": clean["any"]}
    rows = [
        [name, of(stage), percent(stage), f"{100 * stage['promised']:.3g} %", _chance(stage)]
        for name, stage in judged.items()
    ]
    text += table(["stage", "alarms", "rate", "promised, at most", "chance of so many"], rows)
    refused = clean["refused"]
    text += paragraph(f"Refused to callers: {of(refused)}, {percent(refused)}.")
    if clean["accuracy"] is not None:
        accuracy = clean["accuracy"]
        text += paragraph(f"The model is right about {of(accuracy)}: accuracy {percent(accuracy)}.")
    return section("False alarms", text)


def _chance(stage: dict[str, Any]) -> str:
    unlikely = " (too many)" if stage["chance"] < UNLIKELY else ""
    return f"{rounded_percent(stage['chance'])}{unlikely}"


def _callers(callers: dict[str, int] | None) -> str:
    if callers is None:
        return ""
    asked, differ = callers["asked"], callers["differ"]
    outcome = "said the same as the readings of the guard about every one"
    if differ:
        outcome = f"said something else than the readings of the guard about {differ} of them"
    return section(
        "What callers see", paragraph(f"The session was asked about {asked} of these inputs, and {outcome}.")
    )


def _distributions(rules: Sequence[dict[str, Any]], alpha: float) -> str:
    figures = [
        f"<figure>{plots.ranks(rule, alpha)}<figcaption>{escape(_rule(rule))}</figcaption></figure>"
        for rule in rules
        if rule["ranks"]
    ]
    text = paragraph(
        "Which share of clean samples scores higher than what; what lies above the line is an alarm."
    )
    return section("Scores", text + "".join(figures))


def _rule(rule: dict[str, Any]) -> str:
    odd = f", {rule['not_finite']} of them no numbers" if rule["not_finite"] else ""
    name = (
        f"{rule['stage']} / {rule['rule']} of {'all inputs' if rule['subject'] == '*' else rule['subject']}"
    )
    return f"{name}: {rule['alarms']} of {rule['samples']} are alarms{odd}"


def _sizes(rows: Sequence[dict[str, Any]], calibrated: int) -> str:
    if len(rows) < 2:
        return ""
    text = paragraph(
        "What the stage signal would catch of the gross faults, had its threshold been set with so many of "
        f"these clean samples, at the same rate (mean of 40 draws). The profile's was set with {calibrated}; "
        "as many again say what is usual. Where the curve still rises, more samples would help."
    )
    points = [(row["samples"], row["caught"]) for row in rows]
    return section(
        "More samples", text + f"<figure>{plots.curve(points, 'clean samples', 'caught')}</figure>"
    )


def _latency(latency: dict[str, dict[str, float]]) -> str:
    rows = [[name, f"{each['median']:.0f}", f"{each['slow']:.0f}"] for name, each in latency.items()]
    return section("Time", table(["what", "median, µs", "95 %, µs"], rows))
