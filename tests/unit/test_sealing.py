"""Sealing: what comes out opens to what went in, and wrong arguments are told before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from onnx import TensorProto, helper, numpy_helper

from modelkeep import sealing
from modelkeep.bundle.bundle import Bundle
from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import ExpiredError, PostureError, StorageError, UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.sealing import seal
from modelkeep.trust.signer import Signer
from support.workshop import MODEL_ID, Workshop


def test_a_folder_comes_out_as_it_went_in(workshop: Workshop) -> None:
    files = {"a.bin": b"", "größe 1.txt": b"x", "sub/deep/b.bin": bytes(2**20), ".hidden": b"h"}
    for path, content in files.items():
        target = workshop.folder / "model" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    assert workshop.read(workshop.seal(workshop.folder / "model")) == files


def test_progress_adds_up_to_the_size(workshop: Workshop) -> None:
    (workshop.folder / "weights.bin").write_bytes(bytes(3 * 2**20))
    draft = seal(
        workshop.folder / "weights.bin",
        model=MODEL_ID,
        to=[workshop.device.with_suffix(".pub")],
        signer=workshop.signer,
    )
    seen: list[int] = []
    path = draft.save(workshop.folder / "new.keep", progress=seen.append)
    with Bundle(path) as bundle:
        inner = bundle.unverified_manifest().members[0].size
    assert sum(seen) == draft.size + inner


def test_a_model_with_external_weights_gives_the_same_outputs(workshop: Workshop) -> None:
    folder = workshop.folder / "model"
    folder.mkdir()
    chance = np.random.default_rng(5)
    weights = [chance.standard_normal((64, 64)).astype(np.float32) for _ in range(3)]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w0"], ["a"]),
            helper.make_node("MatMul", ["a", "w1"], ["b"]),
            helper.make_node("MatMul", ["b", "w2"], ["y"]),
        ],
        "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64])],
        [numpy_helper.from_array(weight, f"w{index}") for index, weight in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(
        model,
        str(folder / "net.onnx"),
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=0,
    )
    assert len(list(folder.iterdir())) == 4
    x = chance.standard_normal((5, 64)).astype(np.float32)
    expected: Any = onnxruntime.InferenceSession(str(folder / "net.onnx")).run(None, {"x": x})[0]
    with workshop.open(workshop.seal(folder)) as session:
        assert np.array_equal(session.run({"x": x})["y"], expected)


def test_the_manifest_says_what_was_asked_for(workshop: Workshop) -> None:
    path = workshop.seal(epoch=2**53 - 1, family="vision", release="1.2 ü")
    with Bundle(path) as bundle:
        manifest = bundle.verify(workshop.verifier()).manifest
    assert (manifest.model, manifest.epoch, manifest.family, manifest.release) == (
        MODEL_ID,
        2**53 - 1,
        "vision",
        "1.2 ü",
    )


def test_constraints_bind_the_embedded_grants(workshop: Workshop) -> None:
    with pytest.raises(ExpiredError):
        workshop.open(workshop.seal(constraints=Constraints(not_after=1_000_000)))
    demanding = workshop.seal(constraints=Constraints(posture=("verified-boot",)))
    with pytest.raises(PostureError, match="verified-boot"):
        workshop.open(demanding)
    workshop.open(demanding, posture=frozenset({"verified-boot"})).close()


def test_only_administrators_may_delegate(workshop: Workshop) -> None:
    admin = workshop.new_device("admin").with_suffix(".pub")
    path = workshop.seal(admins=[admin], constraints=Constraints(delegate=True))
    with Bundle(path) as bundle:
        delegates = [grant.header.constraints.delegate for grant in bundle.embedded_grants()]
    assert delegates == [False, True]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"signer": None}, "needs a signer"),
        ({"to": []}, "nobody could open"),
        ({"model": "no model"}, "not a model id"),
        ({"model": ""}, "not a model id"),
        ({"epoch": -1}, "epoch"),
        ({"epoch": 2**53}, "epoch"),
        ({"epoch": True}, "epoch"),
        ({"epoch": "1"}, "epoch"),
        ({"family": "x" * 1025}, "family"),
        ({"release": "x" * 257}, "release"),
        ({"release": "\udcff"}, "release"),
        ({"entry": "other.onnx"}, "no file 'other.onnx'"),
        ({"contract": {"z": {}}}, "contract"),
    ],
)
def test_wrong_arguments_are_told_before_any_work(
    workshop: Workshop, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        workshop.seal(name="never.keep", **options)
    assert not (workshop.folder / "never.keep").exists()


def test_where_the_format_says_nothing_the_contract_is_the_publishers(workshop: Workshop) -> None:
    (workshop.folder / "weights.bin").write_bytes(b"w")
    with pytest.raises(UsageError, match="dtype is needed"):
        workshop.seal(workshop.folder / "weights.bin", contract={"x": {"minimum": 0.0}})
    draft = seal(
        workshop.folder / "weights.bin",
        model=MODEL_ID,
        to=[workshop.device.with_suffix(".pub")],
        signer=workshop.signer,
        contract={"x": {"dtype": "float32", "minimum": 0.0}},
    )
    assert draft.model.contract == Contract((TensorContract("x", "float32", None, minimum=0.0),))


def test_too_many_grants_are_refused(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [workshop.new_device(f"pi-{number}").with_suffix(".pub") for number in (1, 2)]
    monkeypatch.setattr(sealing, "MOST_EMBEDDED_GRANTS", 2)
    workshop.seal(to=devices)
    monkeypatch.setattr(sealing, "MOST_EMBEDDED_GRANTS", 1)
    with pytest.raises(UsageError, match="at most 1 grants") as caught:
        workshop.seal(to=devices[:1], admins=devices[1:])
    assert "modelkeep grant" in str(caught.value.hint)


def test_a_passphrase_stands_alone(workshop: Workshop) -> None:
    device, secret = workshop.device.with_suffix(".pub"), workshop.folder / "secret.txt"
    secret.write_text("correct horse battery staple\n")
    secret.chmod(0o600)
    with pytest.raises(UsageError, match="only recipient"):
        workshop.seal(to=[f"passphrase:?file={secret}"], admins=[device])


def test_grant_issuers_are_listed_once_and_within_bounds(workshop: Workshop) -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(65)]
    public = [key.public_key() for key in keys]
    signer = Signer(keys[0])
    path = workshop.seal(grant_signer=signer, grant_issuers=[*public[:64], public[1]])
    with Bundle(path) as bundle:
        assert len(bundle.unverified_manifest().grant_issuers) == 64
    workshop.open(path).close()
    with pytest.raises(UsageError, match="at most 64 grant issuers"):
        workshop.seal(grant_signer=signer, grant_issuers=public)
    with pytest.raises(UsageError, match="signed grants only"):
        workshop.seal(grant_issuers=public[:1])


def test_a_missing_model_is_told(workshop: Workshop) -> None:
    with pytest.raises(StorageError, match="no such file"):
        workshop.seal(Path("none.onnx"))
