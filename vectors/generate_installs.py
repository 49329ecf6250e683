"""Writes the test vectors of installations, leases and the states beside them into vectors/v1/installs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from generate import HERE, HOUR, MODEL, ONNX_MODEL, Vector

from modelkeep.bundle.install_record import InstallRecord
from modelkeep.bundle.installation import Installation
from modelkeep.bundle.lease import lease_path
from modelkeep.container import names
from modelkeep.device.contents import Stage
from modelkeep.device.state_file import read_state, write_state
from modelkeep.granting import grant
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.recipient_text import format_recipient
from modelkeep.keys.file import FileStore
from modelkeep.keys.fleet import create_device, create_master
from modelkeep.keys.identity import Identity
from modelkeep.manifest import Suite
from modelkeep.renewing import renew
from modelkeep.sealing import seal
from modelkeep.trust.second_signature import SecondSigner
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import SECOND_KIND, create_signing_key
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install

DAY = 86_400


class Device:
    """A device of its own for every vector, so that no state knows of another's installation."""

    def __init__(self, folder: Path, kind: str) -> None:
        folder.mkdir()
        self.state_folder = folder / "state"
        os.environ["MODELKEEP_STATE"] = str(self.state_folder)
        self.key = folder / "pi-17"
        if kind == "fleet":
            create_master(str(folder / "master"))
            create_device(str(self.key), str(folder / "master"), "pi-17")
            self.to: Any = f"fleet:{self.key}"
        else:
            self.to = folder / "pi-17.pub"
            self.to.write_text(format_recipient(FileStore().create(str(self.key), kind)))
        self.uri = f"{'fleet' if kind == 'fleet' else 'file'}:{self.key}"

    @property
    def secret(self) -> dict[str, str]:
        text = self.key.read_text()
        return {"fleet": text.strip()} if self.uri.startswith("fleet:") else {"pem": text}


class Installs:
    """Installs one bundle per entry and notes what a reader must make of it."""

    def __init__(self, work: Path, target: Path) -> None:
        self._work, self._target = work, target
        self._trusted = create_signing_key(work / "publisher.pem")
        create_signing_key(work / "issuer.pem")
        create_signing_key(work / "second.pem", SECOND_KIND)
        self._signer, self._issuer = (
            Signer.from_pem(work / name) for name in ("publisher.pem", "issuer.pem")
        )
        self._admin = Device(work / "admin", "p256")
        self._source = work / "model.onnx"
        self._source.write_bytes(ONNX_MODEL)
        self._now = int(time.time()) + HOUR
        self._vectors: list[Vector] = []

    def run(self) -> dict[str, Any]:
        """Returns the index; installations, leases and states lie next to where it goes."""
        for kind in ("p256", "x25519", "mlkem768-x25519", "fleet"):
            self._add(f"agreement-{kind}", f"the local key of a {kind} key", kind)
        self._add("chacha", "suite 2", suite=Suite.CHACHA20_POLY1305_HKDF_1MB)
        second = SecondSigner.from_pem(self._work / "second.pem")
        self._add("second-signature", "the second signature comes along", second_signer=second)
        self._ends()
        self._states()
        self._damage()
        return {"format": "modelkeep/vectors", "version": 1, "bundles": self._vectors}

    def _ends(self) -> None:
        self._add("last-second", "the last second of the grant", end=self._now)
        self._add("over", "the grant is over", error="ExpiredError", end=self._now - 1)
        self._add("leased", "the grant is over, the lease is not", end=self._now - 1, lease=self._now)
        over = self._now - 1
        self._add("lease-over", "both are over", error="ExpiredError", end=over - 1, lease=over)
        stray = self._add("lease-of-another", "a lease that names another installation is ignored")
        other = self._target / "leased.keep.lease"
        shutil.copy(other, self._target / f"{stray['bundle']}.lease")
        edited = self._add(
            "lease-edited", "an edited end", error="TamperedError", end=self._now - 1, lease=self._now
        )
        self._edit_lease(edited, lambda header: replace(header.constraints, not_after=self._now + DAY))
        end = self._now + 1
        more = self._add("lease-posture", "more than the end", error="TamperedError", end=end, lease=end + 1)
        self._edit_lease(more, lambda header: replace(header.constraints, posture=("verified-boot",)))

    def _states(self) -> None:
        other = self._add("other-state", "the state of another device", error="TamperedError")
        shutil.copy(self._target / "chacha.state", self._target / other["state"])
        none = self._add("no-state", "the device remembers nothing of it", error="RollbackError")
        (self._target / none.pop("state")).unlink()
        newer = self._add("replaced", "a newer release was installed since", error="RollbackError")
        self._install(self._last, self._work / "newer.keep", epoch=2)
        self._keep_state(newer)
        for stage in (Stage.STAGED, Stage.TRIAL):
            vector = self._add(stage.value, f"never came further than {stage.value}", error="RollbackError")
            self._set_stage(self._target / vector["state"], stage)

    def _set_stage(self, path: Path, stage: Stage) -> None:
        with Identity(self._last.uri) as identity, closing(identity.local_key()) as local:
            contents = read_state(path, local.for_state())
            assert contents is not None
            model = contents.model(MODEL)
            (installation,) = model.installations
            model.set_stage(installation, stage)
            write_state(path, local.for_state(), contents)

    def _damage(self) -> None:
        for name, file, place in (
            ("payload", names.payload(1), 60),
            ("stream-header", names.payload(1), 5),
            ("manifest", names.MANIFEST, 30),
            ("record", names.INSTALL, 40),
        ):
            error = "MalformedError" if name == "record" else "TamperedError"
            vector = self._add(f"damaged-{name}", f"a bit of {file} flipped", error=error)
            self._flip(self._target / vector["bundle"], file, place)
        vector = self._add("damaged-state", "a bit of the state flipped", error="TamperedError")
        state = self._target / vector["state"]
        data = bytearray(state.read_bytes())
        data[20] ^= 1
        state.write_bytes(data)

    def _flip(self, path: Path, name: str, place: int) -> None:
        data = bytearray(path.read_bytes())
        with Installation(path) as installation, installation.open_file(name) as found:
            data[found.offset + place] ^= 1
        path.write_bytes(data)

    def _edit_lease(self, vector: Vector, change: Callable[[Any], Constraints]) -> None:
        path = self._target / f"{vector['bundle']}.lease"
        record = InstallRecord.from_bytes(path.read_bytes())
        header = record.header._replace(constraints=change(record.header))
        path.write_bytes(InstallRecord(header, header.to_bytes(), record.wrapped).to_bytes())

    def _add(
        self,
        name: str,
        about: str,
        kind: str = "p256",
        *,
        error: str | None = None,
        end: int | None = None,
        lease: int | None = None,
        **options: Any,
    ) -> Vector:
        device = self._last = Device(self._work / name, kind)
        installed = self._target / f"{name}.keep"
        bundle = self._install(device, installed, end, **options)
        if lease is not None:
            self._renew(device, bundle, installed, lease)
        digest = {"sha256": hashlib.sha256(ONNX_MODEL).hexdigest(), "size": len(ONNX_MODEL)}
        vector: Vector = {
            "name": name,
            "about": about,
            "bundle": installed.name,
            "state": f"{name}.state",
            "trusted": self._trusted.decode(),
            "model": MODEL,
            "minimum_epoch": 0,
            "now": self._now,
            "identity": device.secret,
            "error": error,
        }
        if error is None:
            vector |= {"files": {"model.onnx": digest}, "device_id": "pi-17"}
        self._keep_state(vector)
        self._vectors.append(vector)
        return vector

    def _install(self, device: Device, target: Path, end: int | None = None, **options: Any) -> Path:
        """Seals, grants until `end` and installs; returns the bundle."""
        settings: dict[str, Any] = {"signer": self._signer, "grant_signer": self._issuer, "model": MODEL}
        draft = seal(self._source, admins=[self._admin.to], **(settings | options))
        bundle = draft.save(self._work / f"{target.name}-{options.get('epoch', 1)}.bundle")
        grants = self._grant(device, bundle, end)
        install(bundle, target, identity=device.uri, verifier=self._verifier(), grant_file=grants)
        return bundle

    def _renew(self, device: Device, bundle: Path, target: Path, end: int) -> None:
        grants = self._grant(device, bundle, end)
        renew(target, identity=device.uri, verifier=self._verifier(), grant_file=grants)
        assert lease_path(target).exists()

    def _grant(self, device: Device, bundle: Path, end: int | None) -> Path:
        grants = bundle.with_suffix(f".{end}")
        grant(
            bundle,
            identity=self._admin.uri,
            to=[device.to],
            constraints=Constraints(not_after=end),
            grant_signer=self._issuer,
            verifier=self._verifier(),
            output=grants,
        )
        return grants

    def _verifier(self) -> Verifier:
        # Some grants end before the moment that vectors are about.
        return Verifier(self._trusted, model=MODEL, clock=lambda: float(self._now - DAY))

    def _keep_state(self, vector: Vector) -> None:
        with Identity(self._last.uri) as identity, _state_of(identity) as state:
            shutil.copy(state.path, self._target / vector["state"])


def _state_of(identity: Identity) -> Any:
    state = identity.device_state()
    assert state is not None
    return state


def main() -> None:
    """Generates everything into a fresh folder and then puts it in place."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "installs")
        target.mkdir()
        index = Installs(Path(folder), target).run()
        (target / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
        final = HERE / "v1" / "installs"
        shutil.rmtree(final, ignore_errors=True)
        shutil.copytree(target, final)
    print(f"{len(index['bundles'])} installations", file=sys.stderr)


if __name__ == "__main__":
    main()
