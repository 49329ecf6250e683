"""How often devices look into a repository, whoever asks for more or less: seconds between two looks."""

from __future__ import annotations

SHORTEST = 60
LONGEST = 7 * 24 * 3600
