"""`modelkeep doctor`: which key stores this device has, and what each protects against."""

from __future__ import annotations

import argparse

from modelkeep.cli.output import print_json, show
from modelkeep.keys.management import StoreReport, examine_stores


def run(arguments: argparse.Namespace) -> None:
    """Prints what every key store says of itself."""
    reports = examine_stores()
    if arguments.json:
        print_json({"stores": {report.scheme: _members(report) for report in reports}})
        return
    for report in reports:
        show(f"{report.scheme:<8} {'yes' if report.usable else 'no ':<4} {report.detail}")
        if report.usable and report.protection is not None:
            show(f"{'':<13} protected by {report.protection.value}")
        if report.advice:
            show(f"{'':<13} to do: {report.advice}")


def _members(report: StoreReport) -> dict[str, object]:
    return {
        "usable": report.usable,
        "protection": None if report.protection is None else report.protection.name.lower(),
        "detail": report.detail,
        "advice": report.advice,
    }
