"""The suite that every adapter has to pass, and a model that is sealed and opened through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import acme_engine
import numpy as np
import pytest
from acme_keep import AcmeFormat, AcmeRuntime

import modelkeep as mk
from modelkeep.testing.runtimes import RUNTIME_CHECKS, RuntimeCheck, RuntimeSubject

WEIGHTS = np.random.default_rng(7).standard_normal((8, 4), np.float32)
MODEL = acme_engine.HEADER.pack(acme_engine.MAGIC, *WEIGHTS.shape) + WEIGHTS.tobytes()
INPUTS = {"x": np.ones((2, 8), np.float32)}
PLAIN = {"y": acme_engine.Engine(memoryview(MODEL)).compute(INPUTS["x"])}


@pytest.mark.parametrize("check", RUNTIME_CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(check: RuntimeCheck) -> None:
    check(RuntimeSubject(AcmeRuntime, AcmeFormat.name, {"net.acme": MODEL}, INPUTS, PLAIN))


@pytest.mark.parametrize("isolation", ["in-process", "process"])
def test_a_sealed_model_computes_what_the_engine_computes(tmp_path: Path, isolation: Any) -> None:
    publisher = mk.create_signing_key(tmp_path / "publisher.pem")
    device = f"file:{tmp_path / 'device.pem'}"
    mk.create_key(device)
    (tmp_path / "model.acme").write_bytes(MODEL)
    draft = mk.seal(
        tmp_path / "model.acme",
        model="acme/detector",
        to=[device],
        signer=mk.Signer.from_pem(tmp_path / "publisher.pem"),
    )
    bundle = draft.save(tmp_path / "model.keep")
    verifier = mk.Verifier(publisher, model="acme/detector")
    with mk.open(bundle, identity=device, verifier=verifier, isolation=isolation) as session:
        assert session.run(INPUTS)["y"].tobytes() == PLAIN["y"].tobytes()
        with pytest.raises(mk.InputError):  # from the contract that the format derives
            session.run({"x": np.full((2, 8), np.nan, np.float32)})
