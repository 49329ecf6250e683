"""Makes vectors/v1/updates/phases.json: which devices have their turn at which share."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from modelkeep.updates.client.turn import has_turn, place_of

FILE = Path(__file__).parent / "v1" / "updates" / "phases.json"
SHARES = (0, 1, 100, 500, 999, 1000)


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for release in range(2):
        for device in range(5):
            manifest = hashlib.sha256(f"manifest {release}".encode()).digest()
            key = hashlib.sha256(f"device {device}".encode()).digest()
            found.append(
                {
                    "manifest": manifest.hex(),
                    "device": key.hex(),
                    "place": str(place_of(manifest, key)),
                    "turns": {str(share): has_turn(manifest, key, share) for share in SHARES},
                }
            )
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps({"cases": cases()}, indent=1) + "\n")
