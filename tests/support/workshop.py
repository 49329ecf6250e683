"""A publisher with a key, devices with keys, small models, and bundles sealed from them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelkeep import public_key
from modelkeep.bundle.access import Access, unlock
from modelkeep.grants.recipient_text import format_recipient
from modelkeep.key_purpose import Purpose
from modelkeep.keys.file import FileStore
from modelkeep.keys.identity import Identity
from modelkeep.model import Model
from modelkeep.opening import open_session
from modelkeep.sealing import seal
from modelkeep.session import Session
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier

MODEL_ID = "acme/detector"


class Workshop:
    """Makes keys, models and bundles in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.publisher_pem = folder / "publisher.pem"
        self.publisher_public = create_signing_key(self.publisher_pem)
        self.signer = Signer.from_pem(self.publisher_pem)
        self.device = self.new_device("pi-17")
        self._numbers = itertools.count()
        self._moments: set[int] = set()

    def new_device(self, name: str, kind: str = "p256") -> Path:
        """Makes a device key and a .pub file next to it; returns the path of the private key."""
        path = self.folder / f"{name}.pem"
        recipient = FileStore().create(str(path), kind)
        path.with_suffix(".pub").write_text(format_recipient(recipient) + "\n")
        return path

    def signed(self, trust: TrustFile) -> TrustFile:
        """Returns a trust file as devices get it: signed by the only root, which is no publisher."""
        return TrustFile.from_bytes(trust.to_bytes(self.root()), self.roots())

    def root(self) -> Signer:
        """Returns the only root, which is no publisher."""
        path = self.folder / "root.pem"
        if not path.exists():
            create_signing_key(path, "root")
        return Signer.from_pem(path, purpose=Purpose.ROOT)

    def roots(self) -> list[bytes]:
        """Returns what devices know of the root."""
        return [public_key.to_pem(self.root().public_key)]

    def model(self, weight: float = 2.0, size: int = 4) -> Path:
        """Writes an ONNX model that multiplies `x` (float32, [batch, size]) with `weight`."""
        path = self.folder / f"model-{next(self._numbers)}.onnx"
        path.write_bytes(scale_model(weight, size))
        return path

    def seal(
        self,
        source: Path | Model | None = None,
        *,
        name: str | None = None,
        sealed_at: int | None = None,
        **options: Any,
    ) -> Path:
        """Seals `source` (or a small model) for the device, signed by the publisher."""
        target = self.folder / (name or f"bundle-{next(self._numbers)}.keep")
        settings: dict[str, Any] = {
            "model": MODEL_ID,
            "to": [self.device.with_suffix(".pub")],
            "signer": self.signer,
        }
        with sealing_at(self._moment() if sealed_at is None else sealed_at):
            sealed = seal(source or self.model(), **(settings | options))
        return sealed.save(target)

    def _moment(self) -> int:
        # Of two releases of one second nobody could say which is the newer one.
        moment = int(time.time())
        while moment in self._moments:
            moment += 1
        self._moments.add(moment)
        return moment

    def verifier(self, **options: Any) -> Verifier:
        """Returns a verifier that trusts the publisher for the usual model."""
        return Verifier(self.publisher_public, **({"model": MODEL_ID} | options))

    def identity(self, device: Path | None = None) -> Identity:
        """Returns the identity of a device, by default of the usual one."""
        return Identity(f"file:{device or self.device}")

    def open(self, bundle: Path, **options: Any) -> Session:
        """Opens a session as the usual device, trusting the publisher."""
        settings: dict[str, Any] = {"identity": self.identity(), "verifier": self.verifier()}
        return open_session(bundle, **(settings | options))

    def read(self, bundle: Path, **options: Any) -> dict[str, bytes]:
        """Returns the plaintext of every file of a bundle, opened as the usual device."""
        settings: dict[str, Any] = {"identity": self.identity(), "verifier": self.verifier()}
        with unlock(bundle, Access(**(settings | options))) as opened:
            files = {}
            for index, file in enumerate(opened.inner_manifest().files, start=1):
                content = bytearray(opened.manifest.members[index].size)
                opened.decrypt(index, memoryview(content))
                files[file.path] = bytes(content)
            return files


@contextmanager
def sealing_at(moment: int) -> Iterator[None]:
    """Lets publishers' clocks say `moment`, seconds since 1970-01-01 UTC, during a `with` block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelkeep.sealing.time", SimpleNamespace(time=lambda: float(moment)))
        yield


def scale_model(weight: float, size: int) -> bytes:
    """Returns an ONNX model: y = x * weight, x and y float32 [batch, size]."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", size])],
        [numpy_helper.from_array(np.full(size, weight, np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
