"""Good documents of every kind, for readers to start from."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fuzz import guard_readers, posture_readers, repository_readers, update_readers
from modelkeep import canonical
from modelkeep.bundle.access import Access, unlock
from modelkeep.bundle.installation import Installation
from modelkeep.container import names
from modelkeep.device.contents import Quarantined
from modelkeep.device.marks import Mark
from modelkeep.device.seen_trust import SeenTrust
from modelkeep.grants.constraints import Constraints
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId, TypedSubject
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.updates.installation import install
from support.attacker import Forgery
from support.executorch_programs import EXPORTED, method, program, tensor
from support.gguf_files import language_model
from support.ort_models import ort_model
from support.states import state_of
from support.tflite_models import dense_model
from support.workshop import Workshop, scale_model

VECTORS = Path(__file__).parents[2] / "vectors" / "v1"

_NCNN = b"7767517\n2 2\nInput in 0 1 x 0=4 1=2\nReLU relu 1 1 x y\n"
_IR = (
    b'<?xml version="1.0"?><net name="m" version="11"><layers><layer id="0" name="x" type="Parameter">'
    b'<data shape="?,3..5,224" element_type="f32"/><output><port id="0" names="x,y\\,z"><dim>-1</dim></port>'
    b"</output></layer></layers></net>"
)
Corpora = Mapping[str, Sequence[bytes]]


def good_documents(folder: Path) -> Corpora:
    """Makes documents in `folder`; returns those of every reader by its name."""
    workshop = Workshop(folder)
    bundles = _bundles(workshop)
    files = [Forgery(bundle).files for bundle in bundles]
    with unlock(bundles[0], Access(workshop.identity(), workshop.verifier())) as opened:
        inner = opened.inner_manifest().to_bytes()
    grants = [bytes(each[name]) for each in files for name in each if name.startswith("grants/")]
    return {
        "manifest": [bytes(each["manifest.json"]) for each in files],
        "inner manifest": [inner],
        "grant": grants,
        "grant glance": grants,
        "grant file": [b"".join(grant + b"\n" for grant in grants)],
        "device list": _device_lists(workshop),
        "statement": [bytes(each["model.sig"]) for each in files],
        **_trusted(),
        "archive": [bundle.read_bytes() for bundle in bundles],
        "arriving": [bundle.read_bytes() for bundle in bundles],
        **_installed(workshop, bundles[0]),
        **guard_readers.good_documents(),
        **posture_readers.good_documents(),
        **update_readers.good_documents(),
        **repository_readers.good_documents(),
        **_models(folder),
    }


def _trusted() -> Corpora:
    vectors = json.loads((VECTORS / "trust" / "index.json").read_text())
    files = {each["name"]: each["file"].encode() for each in vectors["trust_files"]}
    roots = next(each["document"].encode() for each in vectors["trust_files"] if "document" in each)
    tickets = [each["file"].encode() for each in vectors["tickets"]]
    return {
        "timestamp": [base64.b64decode(vectors["timestamps"][0]["timestamps"][0])],
        "trust document": [files["two-of-three"], files["chain-from-1"], roots, tickets[0]],
    }


def _models(folder: Path) -> Corpora:
    onnx = [scale_model(2.0, 4), scale_model(2.0, 300)]
    tflite = [dense_model([np.ones((3, 4), np.float32)], signature=named) for named in (True, False)]
    ort = [ort_model(each, folder) for each in onnx]
    executorch = [EXPORTED, program(method("run", [tensor([1, 2])], [0], "XnnpackBackend"))]
    gguf = [language_model(), language_model(**{"split.count": 2})]
    index = [b'{"metadata":{"total_size":8.0},"weight_map":{"w":"a.safetensors","v":"b.safetensors"}}']
    return {
        "onnx graph": onnx,
        "tflite": tflite,
        "ort": ort,
        "executorch": executorch,
        "openvino": [_IR],
        "gguf": gguf,
        "ncnn": [_NCNN],
        "safetensors index": index,
        "any model": [*onnx, *tflite, *ort, *executorch, _IR, _NCNN, *gguf, *index],
    }


def _bundles(workshop: Workshop) -> list[Path]:
    create_signing_key(workshop.folder / "issuer.pem")
    return [
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


def _installed(workshop: Workshop, bundle: Path) -> Corpora:
    """Returns what installing leaves on a device: the installation, its record, the device's state."""
    target = workshop.folder / "installed.keep"
    identity = workshop.identity()
    install(bundle, target, identity=identity, verifier=workshop.verifier())
    with Installation(target) as installation:
        record = installation.read(names.INSTALL)
    roots = SeenTrust(3, frozenset({bytes(32)}), 1, bytes(32), {1: bytes(32)})
    loose = SeenTrust(7, frozenset({bytes(range(32))}), 1)
    with state_of(identity) as remembered:
        signer = SignerId(bytes(32), bytes(32), TypedSubject("cn", "acme"))
        mark = Mark(signer, ReleaseOrder(3, 5), bytes(16), bytes(32))
        remembered.see(roots)
        remembered.see(loose)
        remembered.stage("acme/other", bytes(16), mark, workshop.verifier())
        remembered.stage("acme/third", bytes(16), mark, workshop.verifier())
        remembered.give_up("acme/third", bytes(16), Quarantined(bytes(16), 1))
    state = remembered.path.read_bytes()
    return {
        "installation": [target.read_bytes()],
        "install record": [record],
        "slots": [canonical.encode({"format": "modelkeep/slots", "model": "acme/detector", "version": 1})],
        "device state": [base64.b64decode(json.loads(state)["body"])],
        "device state file": [state],
    }


def _device_lists(workshop: Workshop) -> list[bytes]:
    line = workshop.device.with_suffix(".pub").read_text().strip()
    constrained = f'{{"recipient":"{line}","not_after":9,"posture":["a"],"delegate":true}}'
    return [f"# devices\n\n{line}\n".encode(), f"{line}\n{constrained}\n".encode()]
