"""`modelkeep doctor`: which key stores this device has, and what each protects against."""

from __future__ import annotations

import argparse

from modelkeep.cli.output import print_json, show
from modelkeep.keys.advice import Advice, advise
from modelkeep.keys.management import StoreReport, examine_stores


def run(arguments: argparse.Namespace) -> None:
    """Prints what every key store says of itself."""
    reports = examine_stores()
    advice = advise(reports)
    if arguments.json:
        best = None if advice.best is None else advice.best.scheme
        stores = {report.scheme: _members(report) for report in reports}
        print_json({"stores": stores, "best": best, "better": list(advice.better)})
        return
    for report in reports:
        _show(report)
    _conclude(advice)


def _show(report: StoreReport) -> None:
    level = report.level.value if report.usable and report.level is not None else ""
    show(f"{report.scheme:<8} {'yes' if report.usable else 'no':<4} {level:<9} {report.detail}")
    if report.usable and report.protection is not None:
        show(f"{'':<23} protected by {report.protection.value}")
    if report.advice:
        show(f"{'':<23} to do: {report.advice}")


def _conclude(advice: Advice) -> None:
    show("")
    if advice.best is not None and advice.best.level is not None:
        show(f"best here: {advice.best.scheme} ({advice.best.level.value})")
    if not advice.better:
        show("better:    nothing that modelkeep knows of")
    for step in advice.better:
        show(f"better:    {step}")


def _members(report: StoreReport) -> dict[str, object]:
    return {
        "usable": report.usable,
        "level": None if report.level is None else report.level.value,
        "protection": None if report.protection is None else report.protection.name.lower(),
        "detail": report.detail,
        "advice": report.advice,
    }
