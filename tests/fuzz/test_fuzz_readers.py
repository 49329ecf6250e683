"""Bounded runs of the fuzz functions, the same mutants every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from fuzz.fuzz_readers import READERS
from fuzz.mutator import Mutator
from modelkeep.bundle.access import unlocked
from modelkeep.keys.constraints import Constraints
from modelkeep.trust.signer import Signer, keygen_signing
from support.attacker import Forgery
from support.workshop import Workshop, scale_model

Corpora = Mapping[str, Sequence[bytes]]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    """Good documents for every reader."""
    workshop = Workshop(tmp_path_factory.mktemp("corpus"))
    keygen_signing(workshop.folder / "issuer.pem")
    bundles = [
        workshop.seal(contract={"x": {"minimum": 0.0, "maximum": 1.0}}),
        workshop.seal(
            to=[
                workshop.new_device(kind, kind).with_suffix(".pub") for kind in ("x25519", "mlkem768-x25519")
            ],
            admins=[workshop.device.with_suffix(".pub")],
            constraints=Constraints(not_before=1, not_after=2**31, posture=("a", "b")),
            grant_signer=Signer.from_pem(workshop.folder / "issuer.pem"),
        ),
    ]
    files = [Forgery(bundle).files for bundle in bundles]
    with unlocked(bundles[0], identity=workshop.identity(), verifier=workshop.verifier()) as opened:
        inner = opened.inner_manifest().to_bytes()
    return {
        "manifest": [bytes(each["manifest.json"]) for each in files],
        "inner manifest": [inner],
        "grant": [bytes(each[name]) for each in files for name in each if name.startswith("grants/")],
        "statement": [bytes(each["model.sig"]) for each in files],
        "archive": [bundle.read_bytes() for bundle in bundles],
        "onnx graph": [scale_model(2.0, 4), scale_model(2.0, 300)],
    }


@pytest.mark.parametrize("reader", READERS)
def test_good_documents_are_read(corpora: Corpora, reader: str) -> None:
    read, _ = READERS[reader]
    for document in corpora[reader]:
        read(document)


@pytest.mark.parametrize("reader", READERS)
def test_bad_documents_raise_only_errors_of_ours(corpora: Corpora, reader: str) -> None:
    _survive(corpora, reader, 20_260_101, 400)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_many_bad_documents_raise_only_errors_of_ours(corpora: Corpora, reader: str) -> None:
    _survive(corpora, reader, 20_260_102, 50_000)


def _survive(corpora: Corpora, reader: str, seed: int, count: int) -> None:
    _read, survive = READERS[reader]
    mutator = Mutator(corpora[reader], seed)
    for _ in range(count):
        survive(mutator.mutant())
