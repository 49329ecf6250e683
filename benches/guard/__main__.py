"""`python -m benches.guard`: measures what the guard catches and writes the tables of docs/guard.md."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benches.guard import data
from benches.guard.evaluation import ATTACKED, RATES, Evaluation
from benches.guard.outcome import Outcome, clean_rates, table

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "guard.md"
SEEDS = (1, 2)
QUICK = 40
SETS = {each.__name__: each for each in (data.digits, data.patches, data.sensor, data.tumours)}

_FAULTS = ("fault", "accuracy left", "signal", "signal or model")
_ATTACKS = ("attack", "success", "signal", "model", "signal or model", "squeeze alone")
_ADAPTIVE = (
    "wrong and accepted, reach",
    "no guard",
    "PGD that ignores the guard",
    "adaptive PGD",
    "hardened network, no guard",
    "hardened network, adaptive PGD",
    "adaptive PGD, with `squeeze`",
)


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        seeds: each with a split, a network and a profile of its own.
        attacked: samples that every attack is tried on.
        everything: seeds with what takes longest: networks trained with attacks, attacks on `squeeze`.
    """

    seeds: tuple[int, ...]
    attacked: int
    everything: tuple[int, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures everything, one data set after the other."""
    parser = argparse.ArgumentParser(prog="python -m benches.guard", description=__doc__)
    parser.add_argument(
        "--only", choices=SETS, action="append", help="measure these, and leave the page as it is"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"one seed, {QUICK} attacked, no network trained with attacks"
    )
    given = parser.parse_args(arguments)
    chosen, sizes = (
        given.only,
        Sizes((SEEDS[0],), QUICK, ()) if given.quick else Sizes(SEEDS, ATTACKED, SEEDS[:1]),
    )
    logging.getLogger("modelkeep.guard").setLevel(logging.ERROR)
    sections = []
    for name in chosen or SETS:
        outcomes = [_measured(name, seed, sizes) for seed in sizes.seeds]
        sections.append(_section(name, outcomes, sizes.attacked))
        print(sections[-1] + "\n", flush=True)
    if not chosen and not given.quick:
        _write("\n\n".join(sections))


def _measured(name: str, seed: int, sizes: Sizes) -> Outcome:
    start = time.monotonic()

    def say(what: str) -> None:
        print(f"{name}, seed {seed}, {time.monotonic() - start:4.0f} s: {what}", file=sys.stderr, flush=True)

    made = SETS[name](np.random.default_rng(seed))
    outcome = Evaluation(made, seed, say, sizes.attacked).run(everything=seed in sizes.everything)
    say("done")
    return outcome


def _section(name: str, outcomes: Sequence[Outcome], attacked: int) -> str:
    parts = [
        f"### {name}",
        _beginning(name, outcomes),
        table(_FAULTS, [each.faults for each in outcomes]),
        f"{attacked} attacked per seed.",
        table(_ATTACKS, [each.attacks for each in outcomes]),
        table(_ADAPTIVE, [each.adaptive for each in outcomes]),
    ]
    return "\n\n".join(parts)


def _beginning(name: str, outcomes: Sequence[Outcome]) -> str:
    made = SETS[name](np.random.default_rng(SEEDS[0]))
    train, fit, calibrate, _, held_out = (len(made.part(part)[1]) for part in data.PARTS)
    accuracies = " and ".join(f"{each.accuracy} %" for each in outcomes)
    hardened = f"; hardened {outcomes[0].hardened} %" if outcomes[0].hardened.tries else ""
    clean = "; ".join(
        f"at {100 * rate:.0f} %: {clean_rates([each.clean[place] for each in outcomes])}"
        for place, rate in enumerate(RATES)
    )
    return (
        f"{train} samples to train, {fit} for the usual, {calibrate} for thresholds, {held_out} held out. "
        f"Accuracy {accuracies}{hardened}. False alarms of signal and model "
        f"together on the held-out samples of each seed, with 95 % intervals: {clean}."
    )


def _write(tables: str) -> None:
    page = DOCUMENT.read_text()
    begin, end = "<!-- measured: begin -->", "<!-- measured: end -->"
    pattern = re.compile(f"{begin}.*{end}", re.DOTALL)
    DOCUMENT.write_text(pattern.sub(lambda _match: f"{begin}\n\n{tables}\n\n{end}", page))


if __name__ == "__main__":
    main()
