"""A device whose settings say whose key it has and whom it trusts; the lines of the integrations' page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.workshop import MODEL_ID, Workshop

_PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"


def set_up(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets what integrations go by, for the usual device and model."""
    public = workshop.folder / "publisher.pub"
    public.write_bytes(workshop.publisher_public)
    monkeypatch.setenv("MODELKEEP_KEY", f"file:{workshop.device}")
    monkeypatch.setenv("MODELKEEP_TRUST", str(public))
    monkeypatch.setenv("MODELKEEP_MODEL_ID", MODEL_ID)


def printed(section: str, language: str = "python") -> str:
    """Returns the blocks in a language of one section of the page, one after the other."""
    text = _PAGE.read_text()
    found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    blocks = re.findall(rf"^```{language}\n(.*?)^```", found[1], re.DOTALL | re.MULTILINE)
    assert blocks
    return "".join(blocks)
