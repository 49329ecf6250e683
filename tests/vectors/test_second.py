"""The committed vectors of second signatures."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from modelkeep import errors
from modelkeep.trust import second_signature

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "v1" / "second.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["documents"], ids=lambda vector: vector["name"])
def test_second_signatures_are_judged_as_written(vector: dict[str, Any]) -> None:
    key = second_signature.load_key(VECTORS["key"].encode())
    document = None if vector["document"] is None else vector["document"].encode()
    payload = base64.b64decode(VECTORS["payload"])
    if vector["error"] is None:
        second_signature.verify(document, key, payload)
        return
    kind: type[errors.KeepError] = getattr(errors, vector["error"])
    with pytest.raises(kind, check=lambda error: type(error) is kind):
        second_signature.verify(document, key, payload)
