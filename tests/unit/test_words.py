"""One word for one thing: words that were retired do not come back."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Each with the word that is said instead.
RETIRED = {
    r"\bkeygen_|\bmodelkeep keygen\b": "keys create",
    r"\bkeys reseal\b|\breseal_key\b": "approve",
    r"\bdevice states?\b that|\bstates? proved\b": "posture",
    r"\bOpened\b": "Unlocked",
    r"\bproved\b: frozenset": "posture",
    r"\bmodelkeep_kernel\b|\bmodelkeep-kernel\b": "modelkeep_statistics",
}
SUFFIXES = {".py", ".md", ".kt", ".toml", ".rs"}
# History keeps the words of its time.
EXEMPT = {"CHANGELOG.md", "tests/unit/test_words.py"}


def texts() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [
        name for name in listed.stdout.splitlines() if Path(name).suffix in SUFFIXES and name not in EXEMPT
    ]
    return {name: (ROOT / name).read_text() for name in files if (ROOT / name).is_file()}


def test_retired_words_stay_retired() -> None:
    found = [
        f"{name}: {match[0]!r}, say {word!r}"
        for name, text in texts().items()
        for pattern, word in RETIRED.items()
        for match in re.finditer(pattern, text)
    ]
    assert found == []
