"""`modelkeep doctor`: which key stores this device has, what each protects against; the faster suite."""

from __future__ import annotations

import argparse
import sys

from modelkeep.assurance.algorithms import ALGORITHMS
from modelkeep.cli.output import print_json, show
from modelkeep.keys.advice import Advice, advise
from modelkeep.keys.management import StoreReport, examine_stores
from modelkeep.manifest import Suite
from modelkeep.payload.fastest_suite import fastest_suite
from modelkeep.probes.fips import fips_reports

_WORDS = {
    Suite.AES256_GCM_HKDF_1MB: "aes is the faster one here",
    Suite.CHACHA20_POLY1305_HKDF_1MB: (
        "chacha is the faster one here: ask the publisher for modelkeep seal --suite chacha"
    ),
}
_ELSEWHERE = "untested, and with fewer defences than Linux (docs/platforms.md)"


def run(arguments: argparse.Namespace) -> None:
    """Prints what every key store says of itself, or what libraries say of FIPS."""
    if arguments.fips:
        _fips(arguments)
        return
    reports = examine_stores()
    advice, suite = advise(reports), fastest_suite()
    if arguments.json:
        best = None if advice.best is None else advice.best.scheme
        stores = {report.scheme: _members(report) for report in reports}
        better = list(advice.better)
        print_json(
            {
                "stores": stores,
                "best": best,
                "better": better,
                "fastest_suite": suite.name,
                "system": sys.platform,
            }
        )
        return
    for report in reports:
        _show(report)
    _conclude(advice)
    show(f"suite:     {_WORDS[suite]}")
    if sys.platform != "linux":
        show(f"system:    {sys.platform}: {_ELSEWHERE}")


def _fips(arguments: argparse.Namespace) -> None:
    reports = fips_reports()
    if arguments.json:
        modules = {each.name: {"in_force": each.in_force, "detail": each.detail} for each in reports}
        algorithms = [
            {"name": each.name, "approved": each.approved, "chosen": each.chosen} for each in ALGORITHMS
        ]
        print_json({"fips": modules, "algorithms": algorithms})
        return
    for each in reports:
        show(f"{each.name:<14} {'yes' if each.in_force else 'no':<4} {each.detail}")
    show("")
    for algorithm in ALGORITHMS:
        approved = "approved" if algorithm.approved else "not approved"
        show(f"{algorithm.name:<18} {approved:<13} {algorithm.purpose}: {algorithm.chosen}")


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
