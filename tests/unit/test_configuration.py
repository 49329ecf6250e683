"""What settings say, for programs."""

from __future__ import annotations

import pytest

import modelkeep as mk
from support.workshop import MODEL_ID, Workshop


def test_a_model_opens_by_settings_alone(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(mk.UsageError, match="key is not set"):
        mk.configured_identity()
    (workshop.folder / "publisher.pub").write_bytes(workshop.publisher_public)
    config = workshop.folder / "config.toml"
    config.write_text(f'key = "file:{workshop.device}"\ntrust = ["publisher.pub"]\n')
    config.chmod(0o600)
    monkeypatch.setenv("MODELKEEP_CONFIG", str(config))
    with pytest.raises(mk.UsageError, match="model-id is not set"):
        mk.configured_verifier()
    bundle = workshop.seal()
    with mk.open(
        bundle, identity=mk.configured_identity(), verifier=mk.configured_verifier(MODEL_ID)
    ) as session:
        assert session.report.model == MODEL_ID
    with pytest.raises(mk.WrongModelError):
        mk.open(bundle, identity=mk.configured_identity(), verifier=mk.configured_verifier("acme/other"))
