"""The report as one page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from modelkeep.guard_report import attack_page, plots
from modelkeep.guard_report.words import UNLIKELY, few, of, paragraph, percent, section, table

_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222;background:#fff;"
    "overflow-wrap:anywhere}h3{font-size:1em;margin:1.2em 0 .3em}"
    "div{overflow-x:auto}table{border-collapse:collapse;font-size:14px;overflow-wrap:normal}"
    "th,td{padding:.2em .7em;text-align:right;border-bottom:1px solid #ccc;vertical-align:top}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}td{white-space:nowrap}"
    "small{color:#555}svg{max-width:100%;height:auto;overflow:visible}"
    ".legend span{margin-right:1.5em;white-space:nowrap}"
    ".legend i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}"
)


def page(result: dict[str, Any]) -> str:
    """Returns the page for what `measure_guard` or `measure_session` returns."""
    sections = (
        _clean(result["clean"]),
        _callers(result["callers"]),
        _distributions(result["clean"]["rules"]),
        _faults(result["faults"]),
        *attack_page.sections(result["attacks"], result["settings"], result["clean"]["accuracy"] is not None),
        _latency(result["latency"]),
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Guard report</title>'
        f"<style>{_STYLE}</style><h1>Guard report</h1>{_about(result)}{''.join(sections)}</html>\n"
    )


def _about(result: dict[str, Any]) -> str:
    actions = ", ".join(f"{stage} {_does(action)}" for stage, action in result["actions"].items())
    return (
        paragraph(_source(result["source"], result["model"]))
        + paragraph(
            f"Alpha {result['alpha']:g} for each stage, delta {result['delta']:g}; {actions}. "
            "Ranges in brackets and thin lines are exact 95 % intervals: what chance alone leaves open."
        )
        + paragraph(
            "This page holds thresholds, which help to get past the guard: "
            "keep it from those who send inputs."
        )
    )


def _does(action: str) -> str:
    return {"reject": "rejects", "flag": "flags"}.get(action, "is off")


def _source(source: dict[str, Any], digest: str) -> str:
    if source["kind"] == "plain":
        return f"Measured on a plain model, digest {digest[:16]}."
    where = "an isolated process" if source["isolated"] else "a session in memory"
    release = f" {source['release']}" if source["release"] else ""
    signed = f"signed by {source['signer']}" if source["signer"] else "signed by nobody"
    kind = "installation of bundle" if source["installed"] else "bundle"
    return (
        f"Measured on the sealed model {source['model']}{release}, epoch {source['epoch']}, {kind} "
        f"{source['bundle']}, {signed}, through {where}."
    )


def _clean(clean: dict[str, Any]) -> str:
    text = paragraph(
        f"{clean['samples']} clean samples. The last column is the chance of at least as many alarms "
        "if the true rate were the promised one. It means nothing if the profile was learned from "
        "these samples."
    )
    judged = {**clean["stages"], "any stage": clean["any"]}
    rows = [
        [name, of(stage), percent(stage), f"{100 * stage['promised']:.3g} %", _verdict(stage)]
        for name, stage in judged.items()
    ]
    text += table(["stage", "alarms", "rate", "promised", "chance"], rows)
    refused = clean["refused"]
    text += paragraph(f"Refused to callers: {of(refused)}, {percent(refused)}.")
    if clean["accuracy"] is not None:
        accuracy = clean["accuracy"]
        text += paragraph(f"The model is right about {of(accuracy)}: accuracy {percent(accuracy)}.")
    return section("Clean samples", text)


def _verdict(stage: dict[str, Any]) -> str:
    unlikely = " (too many)" if stage["chance"] < UNLIKELY else ""
    return f"{stage['chance']:.2g}{unlikely}"


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


def _distributions(rules: Sequence[dict[str, Any]]) -> str:
    figures = [f"<h3>{escape(_rule(rule))}</h3>" + plots.distribution(rule) for rule in rules]
    text = paragraph("Scores of the clean samples; right of the line, a score is an alarm.")
    return section("Scores", text + "".join(figures))


def _rule(rule: dict[str, Any]) -> str:
    samples = sum(rule["counts"]) + rule["not_finite"]
    odd = f", {rule['not_finite']} of them no numbers" if rule["not_finite"] else ""
    name = f"{rule['stage']} / {rule['rule']} of {rule['subject']}"
    return f"{name}: {rule['alarms']} of {samples} are alarms{odd}"


def _faults(faults: Sequence[dict[str, Any]]) -> str:
    stages = [*faults[0]["alarms"], "any stage"]
    bars = plots.shares(
        [(row["fault"], [*row["alarms"].values(), row["any"]]) for row in faults], tuple(stages)
    )
    labelled = faults[0]["accuracy"] is not None
    header = ["fault", "alarm of any stage", "refused to callers", "prediction changed, or none"]
    rows = [
        [
            row["fault"],
            *(percent(row[what]) for what in ("any", "refused", "changed", "accepted")),
            *([percent(row["accuracy"])] if labelled else []),
        ]
        for row in faults
    ]
    header += ["changed and accepted", *(["accuracy, if run"] if labelled else [])]
    samples = faults[0]["samples"]
    about = f"Share of alarms among {samples} faulty samples, by stage at its threshold. {few(samples)}"
    text = paragraph(about)
    return section("Faults", text + bars + table(header, rows))


def _latency(latency: dict[str, dict[str, float]]) -> str:
    rows = [[name, f"{each['median']:.0f}", f"{each['slow']:.0f}"] for name, each in latency.items()]
    return section("Time", table(["what", "median, µs", "95 %, µs"], rows))
