"""The sections of the page about attacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelkeep.guard_report.bars import bars
from modelkeep.guard_report.words import few, folded, paragraph, percent, section, table

_WINS = ("won", "accepted", "unseen", "adaptive")
_LEGEND = ("without guard", "accepted by the guard", "without any alarm", "made for the guard")


def sections(
    attacks: Sequence[dict[str, Any]] | None, settings: dict[str, Any], labelled: bool
) -> tuple[str, ...]:
    """Returns what is said about attacks, in sections."""
    if attacks is None:
        text = (
            "The model gives no scores of classes, or the profile does not know them: nothing was attacked."
        )
        return (section("Attacks", paragraph(text)),)
    if not attacks[0]["samples"]:
        text = "The model is right about none of the samples: nothing was attacked."
        return (section("Attacks", paragraph(text)),)
    return (_wins(attacks, settings, labelled), _detection(attacks), _carried(attacks))


def _wins(attacks: Sequence[dict[str, Any]], settings: dict[str, Any], labelled: bool) -> str:
    samples = attacks[0]["samples"]
    chosen = "of which the model is right" if labelled else "whose labels nobody gave"
    goal = "is wrong" if labelled else "changes"
    text = paragraph(
        f"Each on {samples} samples {chosen}, with at most {settings['tries']} tries and no gradients; "
        f"elements change by at most {settings['reach']:.3g} of the range, but for patches, corruption and "
        f"boundary. An attack wins when the predicted class {goal}. Made for the guard: it keeps only what "
        "gives no alarm. These are lower bounds: with gradients and patience an attacker does better. "
        + few(samples)
    )
    shown = bars([(row["attack"], [row[what] for what in _WINS]) for row in attacks], _LEGEND)
    rows = [
        [
            row["attack"],
            *(percent(row[what]) for what in _WINS),
            f"{row['tries']['plain']:.0f} / {row['tries']['adaptive']:.0f}",
        ]
        for row in attacks
    ]
    return section(
        "Attacks",
        text
        + shown
        + folded("In figures", table(["attack wins", *_LEGEND, "tries, plain / made for it"], rows)),
    )


def _detection(attacks: Sequence[dict[str, Any]]) -> str:
    stages = list(attacks[0]["alarms"])
    text = paragraph(
        "Share of alarms among the inputs that won without regard for the guard, by stage at its threshold."
    )
    rows = [
        [row["attack"], str(row["won"]["count"]), *map(percent, [*row["alarms"].values(), row["any"]])]
        for row in attacks
    ]
    return section("Attacks seen", text + table(["attack", "won", *stages, "any stage"], rows))


def _carried(attacks: Sequence[dict[str, Any]]) -> str:
    text = paragraph(
        "What won on one sample, put on other samples without asking the model again: an attacker "
        "who has one device can do this to all others. Inputs with the same change are not independent: "
        "the intervals are too narrow here."
    )
    rows = [
        [row["attack"], str(row["carried"]["won"]["of"])]
        + [percent(row["carried"][what]) for what in ("won", "unseen", "adaptive")]
        for row in attacks
        if row["carried"]["won"]["of"] or row["carried"]["adaptive"]["of"]
    ]
    if not rows:
        return ""
    header = ["attack carried over", "inputs", "wins", "without any alarm", "made for the guard"]
    return section("Attacks carried over", text + table(header, rows))
