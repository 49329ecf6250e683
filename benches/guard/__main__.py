"""`python -m benches.guard`: measures what the guard catches and writes the tables of docs/guard.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benches.guard import attacks
from benches.guard.data import Data, digits, patches, sensor
from benches.guard.faults import FAULTS
from benches.guard.network import Network
from benches.guard.watch import Values, Verdicts, Watched
from modelkeep.guard.profile import GuardProfile

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "guard.md"
RATES = (0.01, 0.05)
ATTACKED = 300
SEED = 7

_Row = list[str]


def main() -> None:
    """Measures everything, one data set after the other."""
    sections = []
    for make in (digits, patches, sensor):
        generator = np.random.default_rng(SEED)
        data = make(generator)
        sections.append(_section(data, generator))
        print(sections[-1], flush=True)
    _write("\n\n".join(sections))


def _section(data: Data, generator: np.random.Generator) -> str:
    network = Network(*data.part(0), generator)
    watched = Watched.learn(data, network)
    profiles = [watched.profile(rate) for rate in RATES]
    clean, labels = data.part(3)
    right = network.logits(clean).argmax(axis=1) == labels
    calibrated = len(data.part(2)[1])
    text = (
        f"### {data.name}\n\nAccuracy {100 * right.mean():.1f} % on {len(clean)} held-out samples; "
        f"fit {len(data.part(1)[1])}, thresholds {calibrated} samples. "
        f"False alarms on held-out clean samples: {_clean_rates(watched, clean, profiles)}.\n\n"
    )
    chosen = np.flatnonzero(right)[:ATTACKED]
    rows = [
        _fault_row(name, fault, watched, clean, labels, profiles, generator) for name, fault in FAULTS.items()
    ]
    text += _table(["fault", "accuracy left", "signal @1 / @5 %", "any stage @1 / @5 %"], rows)
    rows = [
        _attack_row(name, attack, data, watched, clean[chosen], labels[chosen], profiles, generator)
        for name, attack in _attacks().items()
    ]
    text += "\n\n" + _table(["attack", "success", "signal @1 / @5 %", "any stage @1 / @5 %"], rows)
    rows = [
        _adaptive_row(size, data, watched, clean[chosen], labels[chosen], profiles, generator)
        for size in (4, 8, 16)
    ]
    header = ["wrong and accepted, reach", "no guard", "PGD that ignores the guard", "adaptive, guard @5 %"]
    return text + "\n\n" + _table(header, rows)


def _attacks() -> dict[str, attacks.Attack]:
    return {
        "FGSM 8/255": attacks.fgsm(8 / 255),
        "PGD 2/255": attacks.pgd(2 / 255),
        "PGD 4/255": attacks.pgd(4 / 255),
        "PGD 8/255": attacks.pgd(8 / 255),
        "PGD 16/255": attacks.pgd(16 / 255),
        "PGD 16/255, snapped": attacks.pgd(16 / 255),
        "DeepFool": attacks.deepfool,
        "DeepFool, snapped": attacks.deepfool,
        "C&W margin 0": attacks.carlini_wagner(0),
        "C&W margin 0, snapped": attacks.carlini_wagner(0),
        "C&W margin 5": attacks.carlini_wagner(5),
        "C&W margin 5, snapped": attacks.carlini_wagner(5),
        "Square 8/255": attacks.square(8 / 255),
        "patch 5 %": attacks.patch,
    }


def _clean_rates(watched: Watched, clean: Values, profiles: list[GuardProfile | None]) -> str:
    words = []
    for rate, profile in zip(RATES, profiles, strict=True):
        if profile is None:
            words.append(f"too few samples for {100 * rate:.0f} %")
            continue
        words.append(f"{100 * _any(watched.alarms(clean, profile)).mean():.2f} % at {100 * rate:.0f} %")
    return ", ".join(words)


def _fault_row(
    name: str,
    fault: Callable[[Values, np.random.Generator], Values],
    watched: Watched,
    clean: Values,
    labels: np.ndarray,
    profiles: list[GuardProfile | None],
    generator: np.random.Generator,
) -> _Row:
    changed = fault(clean, generator).astype(np.float32)
    with np.errstate(all="ignore"):
        left = (watched.network.logits(changed).argmax(axis=1) == labels).mean()
    return [name, f"{100 * left:.0f} %", *_caught(watched, changed, profiles)]


def _attack_row(
    name: str,
    attack: attacks.Attack,
    data: Data,
    watched: Watched,
    clean: Values,
    labels: np.ndarray,
    profiles: list[GuardProfile | None],
    generator: np.random.Generator,
) -> _Row:
    changed = attack(watched.network, clean, labels, (data.low, data.high), generator)
    if name.endswith("snapped"):
        changed = _snapped(changed, data)
    won = watched.network.logits(changed).argmax(axis=1) != labels
    caught = _caught(watched, changed[won], profiles) if won.any() else ["-", "-"]
    return [name, f"{100 * won.mean():.0f} %", *caught]


def _adaptive_row(
    size: int,
    data: Data,
    watched: Watched,
    clean: Values,
    labels: np.ndarray,
    profiles: list[GuardProfile | None],
    generator: np.random.Generator,
) -> _Row:
    profile = profiles[-1]
    if profile is None:
        return [f"{size}/255", "-", "-", "-"]
    network, ends = watched.network, (data.low, data.high)
    plain = attacks.pgd(size / 255)(network, clean, labels, ends, generator)
    wrong = network.logits(plain).argmax(axis=1) != labels
    passed = wrong & ~_any(watched.alarms(plain, profile))
    adaptive = passed.copy()
    # Whoever has model and profile can try at home which of many attempts gets through.
    for share in (0.15, 0.3, 0.45, 0.6, 0.8, 1.0, 1.0):
        tried = _snapped(attacks.pgd(share * size / 255)(network, clean, labels, ends, generator), data)
        adaptive |= _gets_through(watched, tried, labels, profile)
    adaptive |= _climbed(size, data, watched, clean, labels, profile, generator)
    return [f"{size}/255", *(f"{100 * each.mean():.0f} %" for each in (wrong, passed, adaptive))]


def _climbed(
    size: int,
    data: Data,
    watched: Watched,
    clean: Values,
    labels: np.ndarray,
    profile: GuardProfile,
    generator: np.random.Generator,
) -> Verdicts:
    def badness(samples: Values) -> np.ndarray:
        logits = watched.network.logits(samples)
        own = np.eye(logits.shape[1])[labels] > 0
        lead = logits[own] - np.where(own, -np.inf, logits).max(axis=1)
        excess = sum(np.maximum(each, 0) for each in watched.strangeness(samples, profile).values())
        return np.asarray(np.maximum(lead, -0.5) + excess)

    ends, extent = (data.low, data.high), data.high - data.low
    found = attacks.climb(clean, badness, size / 255 * extent, 60, ends, generator)
    return _gets_through(watched, _snapped(found, data), labels, profile)


def _gets_through(watched: Watched, samples: Values, labels: np.ndarray, profile: GuardProfile) -> Verdicts:
    wrong = watched.network.logits(samples).argmax(axis=1) != labels
    return np.asarray(wrong & ~_any(watched.alarms(samples, profile)))


def _snapped(samples: Values, data: Data) -> Values:
    if data.grid is None:
        return samples
    snapped: Values = (np.rint(samples / data.grid) * data.grid).astype(np.float32)
    return snapped


def _caught(watched: Watched, samples: Values, profiles: list[GuardProfile | None]) -> _Row:
    signal, anything = [], []
    for profile in profiles:
        if profile is None:
            signal.append("-")
            anything.append("-")
            continue
        alarms = watched.alarms(samples, profile)
        signal.append(f"{100 * alarms['signal'].mean():.0f}")
        anything.append(f"{100 * _any(alarms).mean():.0f}")
    return [" / ".join(signal), " / ".join(anything)]


def _any(alarms: dict[str, Verdicts]) -> Verdicts:
    return np.asarray(np.any(list(alarms.values()), axis=0))


def _table(header: _Row, rows: list[_Row]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


def _write(tables: str) -> None:
    page = DOCUMENT.read_text()
    begin, end = "<!-- measured: begin -->", "<!-- measured: end -->"
    pattern = re.compile(f"{begin}.*{end}", re.DOTALL)
    DOCUMENT.write_text(pattern.sub(lambda _match: f"{begin}\n\n{tables}\n\n{end}", page))


if __name__ == "__main__":
    main()
