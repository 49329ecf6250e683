"""Writes the test vectors of format version 1 into vectors/v1."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from certificates import certificates_for
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.bundle.bundle import Bundle
from modelkeep.container import names, tar
from modelkeep.container.slots import lay_out
from modelkeep.golden import Golden, GoldenCase
from modelkeep.golden_limits import GoldenLimits, OutputRange
from modelkeep.granting import grant
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.passphrase import PassphraseRecipient
from modelkeep.grants.recipient_text import format_recipient
from modelkeep.keys.file import FileStore
from modelkeep.keys.fleet import create_device, create_master
from modelkeep.keys.identity import Identity
from modelkeep.manifest import Coverage, LeafAlgorithm, Suite
from modelkeep.passphrase_source import keep
from modelkeep.payload.cipher import associated_data
from modelkeep.payload.layout import sealed_size
from modelkeep.sealing import seal
from modelkeep.trust.second_signature import SecondSigner
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import SECOND_KIND, create_signing_key
from modelkeep.trust.unsigned import UnsafeUnsigned

HERE = Path(__file__).parent
MODEL = "acme/detector"
PASSPHRASE = "correct horse battery staple"
HOUR = 3600

# y = x * 2 with x and y float32 [batch, 4]: 112 bytes of ONNX, written down so that making vectors
# does not need the onnx package.
ONNX_MODEL = bytes.fromhex(
    "08083a660a0e0a01780a017712017922034d756c12057363616c652a19080410014201774a10000000400000004000"
    "000040000000405a180a017812130a110801120d0a07120562617463680a02080462180a017912130a110801120d0a"
    "07120562617463680a02080442040a001011"
)

Vector = dict[str, Any]


class Generator:
    """Seals one bundle per entry and notes what a reader must make of it."""

    def __init__(self, work: Path, target: Path) -> None:
        self._work, self._target = work, target
        self._publisher = work / "publisher.pem"
        self._trusted = create_signing_key(self._publisher).decode()
        self._signer = Signer.from_pem(self._publisher)
        self._model = work / "model.onnx"
        self._model.write_bytes(ONNX_MODEL)
        self._folder = self._make_folder()
        self._bundles: list[Vector] = []
        self._now = int(time.time()) + HOUR

    def run(self) -> dict[str, Any]:
        """Returns the index; the bundles lie next to where it goes."""
        self._recipients()
        self._variants()
        self._constraints()
        self._signatures()
        self._damage()
        streams = [self._stream(name) for name in ("hpke-p256", "folder", "folder-sha256")]
        return {"format": "modelkeep/vectors", "version": 1, "bundles": self._bundles, "streams": streams}

    def _recipients(self) -> None:
        for kind in ("p256", "x25519", "mlkem768-x25519"):
            key = self._device(f"pi-{kind}", kind)
            self._add(f"hpke-{kind}", f"a grant for a {kind} key", key)
        create_master(str(self._work / "master.key"))
        device = self._work / "fleet.key"
        create_device(str(device), str(self._work / "master.key"), "pi-17")
        self._add(
            "fleet",
            "a grant for a fleet device",
            f"fleet:{device}",
            fleet=device.read_text().strip(),
        )
        with keep(memoryview(PASSPHRASE.encode())) as passphrase:
            recipient = PassphraseRecipient(passphrase, log_n=14)
            self._add("passphrase", "a passphrase grant", recipient, passphrase=PASSPHRASE)

    def _variants(self) -> None:
        key = self._device("pi-17")
        self._add("chacha", "suite 2", key, suite=Suite.CHACHA20_POLY1305_HKDF_1MB)
        self._add("sha256-leaves", "SHA-256 leaves", key, leaf=LeafAlgorithm.SHA256)
        self._add(
            "digest-leaves",
            "the statement lists manifest.json alone",
            key,
            digest=Coverage.LEAVES,
        )
        self._add("folder", "several files: empty, two segments, unicode names", key, source=self._folder)
        self._add(
            "folder-sha256",
            "the same with SHA-256 leaves and suite 2",
            key,
            source=self._folder,
            leaf=LeafAlgorithm.SHA256,
            suite=Suite.CHACHA20_POLY1305_HKDF_1MB,
        )
        bounds = {"x": {"minimum": 0.0, "maximum": 1.5, "shape": [1, 4], "maximum_bytes": 16}}
        self._add("contract", "a tightened input contract", key, contract=bounds)
        self._add("golden", "golden vectors, which are no file of the model", key, golden=_golden())
        self._add("labels", "epoch, family and release", key, epoch=7, family="acme", release="1.2.0")

    def _constraints(self) -> None:
        key = self._device("pi-18")
        past, future = Constraints(not_after=self._now - 1), Constraints(not_before=self._now + 1)
        self._add("expired", "the grant is over", key, "ExpiredError", constraints=past)
        self._add("not-yet", "the grant has not begun", key, "ExpiredError", constraints=future)
        posture = Constraints(posture=("verified-boot",))
        self._add(
            "posture",
            "the grant demands a device state",
            key,
            "PostureError",
            constraints=posture,
        )
        until = Constraints(not_after=self._now)
        self._add("last-second", "the last second of a grant counts", key, constraints=until)
        stranger = self._device("stranger")
        vector = self._add("other-device", "no grant for this key", key, "NotForThisDeviceError")
        vector["identity"] = {"pem": stranger.read_text()}
        self._granted_later(key)
        issuer = Signer.from_pem(self._new_signing_key("issuer"))
        self._add("signed-grants", "the manifest lists grant issuers", key, grant_signer=issuer)

    def _granted_later(self, admin: Path) -> None:
        late = self._device("pi-19")
        vector = self._add(
            "granted-later",
            "the grant is in a file of its own",
            admin,
            admins=[_public(admin)],
            to=[],
        )
        vector |= {
            "grants": "granted-later.grants",
            "identity": {"pem": late.read_text()},
            "device_id": "pi-19",
        }
        grants = self._target / vector["grants"]
        with Identity(f"file:{admin}") as identity:
            grant(
                self._target / vector["bundle"],
                identity=identity,
                verifier=UnsafeUnsigned(),
                to=[_public(late)],
                output=grants,
            )

    def _signatures(self) -> None:
        key = self._device("pi-20")
        for curve in ("p384", "p521"):
            path = self._new_signing_key(f"publisher-{curve}", curve)
            trusted = Signer.from_pem(path).public_key.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            vector = self._add(f"sign-{curve}", f"signed with {curve}", key, signer=Signer.from_pem(path))
            vector["trusted"] = trusted.decode()
        chain, root = certificates_for(self._signer)
        vector = self._add(
            "certificate",
            "a certificate chain",
            key,
            signer=Signer(_private(self._publisher), chain),
        )
        vector["trusted"] = root.public_bytes(serialization.Encoding.PEM).decode()
        second = self._work / "second.pem"
        create_signing_key(second, SECOND_KIND)
        self._add(
            "second-signature",
            "a second signature, which a reader that demands none ignores",
            key,
            second_signer=SecondSigner.from_pem(second),
        )
        foreign = Signer.from_pem(self._new_signing_key("foreign"))
        self._add(
            "foreign-signer",
            "signed by somebody else",
            key,
            "UntrustedSignerError",
            signer=foreign,
        )
        self._add("unsigned", "not signed", key, "SignatureError", signer=None, unsafe_unsigned=True)
        vector = self._add("other-model", "another model of the same publisher", key, "WrongModelError")
        vector["model"] = "acme/classifier"
        vector = self._add("rollback", "an epoch below the accepted one", key, "RollbackError")
        vector["minimum_epoch"] = 2

    def _damage(self) -> None:
        key = self._device("pi-21")
        for name, about, error, change in _DAMAGES:
            vector = self._add(f"damaged-{name}", about, key, error)
            path = self._target / vector["bundle"]
            path.write_bytes(change(path, bytearray(path.read_bytes())))

    def _stream(self, name: str) -> Vector:
        vector = next(vector for vector in self._bundles if vector["name"] == name)
        key = self._work / "stream-key.pem"
        key.write_text(vector["identity"]["pem"])
        key.chmod(0o600)
        with Bundle(self._target / vector["bundle"]) as bundle, Identity(f"file:{key}") as identity:
            verified = bundle.verify(UnsafeUnsigned())
            index = len(verified.manifest.members) - 1
            size = verified.manifest.members[index].size
            with (
                verified.unlock(identity, bundle.embedded_grants()) as opened,
                bundle.open_stream(index, size) as extent,
            ):
                path = opened.inner_manifest().files[index - 1].path
                with opened.grant.data_key.payload_key() as payload_key:
                    key_hex = bytes(payload_key.view).hex()
        manifest = verified.manifest
        return {
            "file": vector["bundle"],
            "offset": extent.offset,
            "length": sealed_size(size),
            "suite": manifest.suite.name,
            "key": key_hex,
            "associated_data": associated_data(manifest.suite, manifest.bundle, index).hex(),
            "plaintext": vector["files"][path]["sha256"],
        }

    def _add(
        self,
        name: str,
        about: str,
        key: object,
        error: str | None = None,
        *,
        source: Path | None = None,
        **options: Any,
    ) -> Vector:
        secret: dict[str, str] = {
            kind: options.pop(kind) for kind in ("fleet", "passphrase") if kind in options
        }
        to = [_public(key)] if isinstance(key, Path) else [key]
        settings: dict[str, Any] = {"model": MODEL, "to": to, "signer": self._signer}
        source = source or self._model
        draft = seal(source, **(settings | options))
        bundle = draft.save(self._target / f"{name}.keep")
        vector: Vector = {
            "name": name,
            "about": about,
            "bundle": bundle.name,
            "trusted": self._trusted,
            "model": MODEL,
            "minimum_epoch": 0,
            "now": self._now,
            "identity": secret or {"pem": _text(key)},
            "error": error,
        }
        if error is None:
            of_model = [path for _, path in draft.model.inner_manifest().model_files()]
            vector["files"] = {path: _digest(source, path) for path in of_model}
            vector["inputs"] = json.loads(draft.model.inner_manifest().to_bytes()).get("inputs")
            vector["device_id"] = "pi-17" if "fleet" in secret else key.stem if isinstance(key, Path) else ""
        self._bundles.append(vector)
        return vector

    def _device(self, name: str, kind: str = "p256") -> Path:
        path = self._work / f"{name}.pem"
        recipient = FileStore().create(str(path), kind)
        path.with_suffix(".pub").write_text(format_recipient(recipient))
        return path

    def _new_signing_key(self, name: str, curve: str = "p256") -> Path:
        path = self._work / f"{name}.pem"
        create_signing_key(path, f"signing-{curve}")
        return path

    def _make_folder(self) -> Path:
        folder = self._work / "folder"
        (folder / "weights").mkdir(parents=True)
        (folder / "model.onnx").write_bytes(ONNX_MODEL)
        (folder / "empty").write_bytes(b"")
        (folder / "grüße 模型.txt").write_text("hello\n")
        # Two segments, of bytes that anybody can make again.
        (folder / "weights" / "two segments.bin").write_bytes(bytes(range(251)) * 4200)
        return folder


def _golden() -> Golden:
    x = np.array([[1, 2, 3, 4]], np.float32)
    limits = GoldenLimits(latency=0.5, ranges=(OutputRange("y", 0.0, 8.0),))
    return Golden((GoldenCase({"x": x}, {"y": 2 * x}), GoldenCase({"x": 0 * x}, {})), limits)


def _public(key: object) -> Path:
    assert isinstance(key, Path)
    return key.with_suffix(".pub")


def _text(key: object) -> str:
    assert isinstance(key, Path)
    return key.read_text()


def _private(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _digest(source: Path, path: str) -> dict[str, Any]:
    data = (source / path if source.is_dir() else source).read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


Damage = Callable[[Path, bytearray], bytes]


def _flip_in(name: str, position: int) -> Damage:
    """Flips a bit of one file of the archive; negative positions count from its end."""

    def change(path: Path, data: bytearray) -> bytes:
        with Bundle(path) as bundle, bundle.open_file(name) as place:
            data[place.offset + position % place.size] ^= 1
        return bytes(data)

    return change


def _with_grants_behind(path: Path, _data: bytearray) -> bytes:
    with Bundle(path) as bundle:
        files = {name: bundle.read(name) for name in bundle.sizes}
    embedded = [name for name in files if name.startswith(names.GRANTS)]
    files |= {name: files.pop(name) for name in embedded}
    slots = lay_out({name: len(content) for name, content in files.items()})
    rounded = {name: content + bytes(-len(content) % tar.BLOCK) for name, content in files.items()}
    return b"".join(slots[name].front + content for name, content in rounded.items()) + tar.END


def _with_group_id(_path: Path, data: bytearray) -> bytes:
    data[122] = ord("1")
    return bytes(data)


_DAMAGES: tuple[tuple[str, str, str, Damage], ...] = (
    ("payload", "one bit of the payload flipped", "TamperedError", _flip_in(names.payload(1), -20)),
    ("stream-header", "the stream's header length flipped", "TamperedError", _flip_in(names.payload(1), 0)),
    ("leaves", "one bit of a leaf flipped", "TamperedError", _flip_in(names.leaves(1), 5)),
    ("manifest", "one bit of the manifest flipped", "TamperedError", _flip_in(names.MANIFEST, 30)),
    ("end", "a byte after the end", "MalformedError", lambda _path, data: bytes(data) + b"\0"),
    ("cut", "the last byte missing", "MalformedError", lambda _path, data: bytes(data[:-1])),
    (
        "header",
        "a group id in a tar header",
        "MalformedError",
        _with_group_id,
    ),
    ("order", "the grants behind the payload", "MalformedError", _with_grants_behind),
    ("nothing", "an empty file", "MalformedError", lambda _path, _data: b""),
)


def main() -> None:
    """Generates everything into a fresh folder and then puts it in place."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        target = work / "v1"
        target.mkdir()
        index = Generator(work, target).run()
        (target / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
        final = HERE / "v1"
        # Folders below have generators of their own.
        for old in final.glob("*.*"):
            old.unlink()
        shutil.copytree(target, final, dirs_exist_ok=True)
    print(f"{len(index['bundles'])} bundles, {len(index['streams'])} streams", file=sys.stderr)


if __name__ == "__main__":
    main()
