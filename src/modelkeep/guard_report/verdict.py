"""What a report comes to, in three sentences: what this guard catches, what it misses, what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelkeep.guard_report.words import UNLIKELY, percent

_CAUGHT, _HARMFUL = 0.9, 0.1
_MOST_NAMES = 6
_GOOD, _FAIR, _BAD = "#009e73", "#e69f00", "#d55e00"


def worst_first(faults: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns faults as they matter: by the wrong answers that callers get, then by missing alarms."""
    return sorted(faults, key=lambda row: (-row["accepted"]["share"], row["any"]["share"]))


def sentences(result: dict[str, Any]) -> tuple[str, str, str]:
    """Returns what the guard catches, misses and costs."""
    return _caught(result["faults"]), _missed(result["faults"]), _costs(result)


def tone(result: dict[str, Any]) -> str:
    """Returns the colour of the verdict: alarms beyond the promise are worst, then harmful faults."""
    if _broken(result["clean"]):
        return _BAD
    return _FAIR if _harmful(result["faults"]) else _GOOD


def _caught(faults: Sequence[dict[str, Any]]) -> str:
    names = [row["fault"] for row in faults if row["any"]["share"] >= _CAUGHT]
    if not names:
        return f"Catches none of {len(faults)} common faults in 9 of 10 samples."
    return (
        f"Catches {len(names)} of {len(faults)} common faults in at least 9 of 10 samples: {_listed(names)}."
    )


def _missed(faults: Sequence[dict[str, Any]]) -> str:
    harmful = _harmful(faults)
    if harmful:
        worst = [f"{row['fault']} ({100 * row['accepted']['share']:.0f} %)" for row in harmful]
        return f"Misses, though callers then get another answer than they should: {_listed(worst)}."
    missed = [row["fault"] for row in worst_first(faults) if row["any"]["share"] < _CAUGHT]
    if not missed:
        return "Misses none of the faults that were tried."
    return f"Misses {_listed(missed)}, which hardly ever change what callers get."


def _costs(result: dict[str, Any]) -> str:
    clean, latency = result["clean"], result["latency"]
    judged = "more than was promised" if _broken(clean) else "as promised"
    stages = sum(each["median"] for name, each in latency.items() if name in result["actions"])
    return (
        f"Costs false alarms in {percent(clean['any'])} of clean inputs, {judged} (at most "
        f"{100 * clean['any']['promised']:.3g} %), and {stages:.0f} µs "
        f"beside {latency['inference']['median']:.0f} µs of inference."
    )


def _harmful(faults: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in worst_first(faults) if row["accepted"]["share"] >= _HARMFUL]


def _broken(clean: dict[str, Any]) -> bool:
    return any(stage["chance"] < UNLIKELY for stage in (*clean["stages"].values(), clean["any"]))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
