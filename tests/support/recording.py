"""A pytest plugin that keeps everything that tests open, with what this reader makes of it.

`pytest -p support.recording tests/attacks` with MODELKEEP_RECORDING set to an empty folder fills that
folder with bundles and installations and an `index.json` in the form of vectors/README.md, so that a reader
in another language can be held against the same attacks. An entry with a `state` names the file in which the
device remembers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.bundle import access as opening
from modelkeep.bundle.access import Access, sidecar_path
from modelkeep.bundle.lease import lease_path
from modelkeep.clock import Clock
from modelkeep.device.contents import Stage
from modelkeep.errors import KeepError
from modelkeep.grants.agreement_key import AgreementKey
from modelkeep.grants.fleet_device import FleetDevice
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.keys.identity import Identity
from modelkeep.trust.policy import ExpectModel, MaximumAge, MinimumEpoch, UnsafeAnyModel
from modelkeep.trust.verifier import Verifier
from support.states import path_of

_FOLDER = os.environ.get("MODELKEEP_RECORDING")
_original = opening.unlock
_entries: dict[str, dict[str, Any]] = {}


def pytest_unconfigure() -> None:
    """Writes the index."""
    if _FOLDER is not None:
        index = {"format": "modelkeep/vectors", "version": 1, "bundles": list(_entries.values())}
        Path(_FOLDER, "index.json").write_text(json.dumps(index, indent=1, sort_keys=True))


@contextmanager
def _recorded(path: str | os.PathLike[str], access: Access) -> Iterator[Any]:
    entry = _entry(Path(path), access)
    if entry is not None:
        name = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]
        if name not in _entries:
            _add(entry | {"name": name}, _outcome(Path(path), entry, access))
    with _original(path, access) as opened:
        yield opened


def _add(entry: dict[str, Any], outcome: dict[str, Any] | None) -> None:
    if outcome is not None:
        _entries[entry["name"]] = entry | outcome


def _entry(path: Path, using: Access) -> dict[str, Any] | None:
    # Phones have no trials.
    if not path.is_file() or using.stage is not Stage.CURRENT:
        return None
    identity, grant_file = using.identity, using.grant_file
    secret, trust = _secret(identity), _trust(using.verifier)
    grants = Path(grant_file) if grant_file is not None else sidecar_path(path)
    odd_files = [grants] if grants.exists() and not grants.is_file() else []
    odd_files += filter(Path.exists, [lease_path(path)])  # the form of an entry has no place for it
    if secret is None or trust is None or using.posture or odd_files:
        return None
    entry = {"about": "recorded", "bundle": _keep(path), "identity": secret} | trust
    if path_of(identity).exists():
        entry["state"] = _keep_state(path_of(identity))
    if grant_file is not None:
        entry["grants"] = _keep(grants)
    elif grants.exists():
        _keep(grants, beside=entry["bundle"])
    return entry


def _outcome(path: Path, entry: dict[str, Any], using: Access) -> dict[str, Any] | None:
    """Returns what reading all of the bundle gives at one fixed moment; nothing for what is no bundle."""
    verifier = using.verifier
    assert isinstance(verifier, Verifier)
    clock, verifier._clock = verifier._clock, Clock.of(lambda: float(entry["now"]))
    try:
        with _original(path, using) as opened:
            files = {}
            for index, file in enumerate(opened.inner_manifest().files, start=1):
                content = bytearray(opened.manifest.members[index].size)
                opened.decrypt(index, memoryview(content))
                files[file.path] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            return {"error": None, "files": files, "device_id": opened.provenance.device_id}
    except KeepError as error:
        return {"error": type(error).__name__}
    finally:
        verifier._clock = clock


def _keep(path: Path, *, beside: str | None = None) -> str:
    assert _FOLDER is not None
    data = path.read_bytes() if path.exists() else b""
    grants = sidecar_path(path)
    # A bundle with a sidecar is another case than the same bundle without.
    extra = grants.read_bytes() if beside is None and grants.exists() else b""
    name = (
        f"{hashlib.sha256(data + b'/' + extra).hexdigest()[:16]}.keep"
        if beside is None
        else f"{beside}.grants"
    )
    if path.exists():
        shutil.copy(path, Path(_FOLDER, name))
    return name


def _keep_state(path: Path) -> str:
    assert _FOLDER is not None
    data = path.read_bytes()
    name = f"{hashlib.sha256(data).hexdigest()[:16]}.state"
    Path(_FOLDER, name).write_bytes(data)
    return name


def _secret(identity: Identity) -> dict[str, str] | None:
    handle = identity._handle
    if isinstance(handle, FleetDevice):
        key = base64.b64encode(handle.view).decode()
        return {"fleet": f"modelkeep-fleet-device {key} {handle.device_id}"}
    key_object = handle._key if isinstance(handle, HpkeHandle) else None
    if not isinstance(key_object, ec.EllipticCurvePrivateKey) or isinstance(key_object, AgreementKey):
        return None
    plain = serialization.NoEncryption()
    try:
        pem = key_object.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    except UnsupportedAlgorithm:  # a key in hardware
        return None
    return {"pem": pem.decode()}


def _trust(verifier: object) -> dict[str, Any] | None:
    if not isinstance(verifier, Verifier) or len(verifier._keys) != 1:
        return None
    if verifier._roots or verifier._authorities:  # neither certificates nor timestamps are read everywhere
        return None
    key = next(iter(verifier._keys.values()))
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    result: dict[str, Any] = {"trusted": pem.decode(), "now": verifier.clock.for_ends(), "minimum_epoch": 0}
    if verifier.require_installed:
        result["require_installed"] = True
    for policy in verifier._policy._policies:
        match policy:
            case ExpectModel():
                result["model"] = policy.model
            case UnsafeAnyModel():
                result["model"] = None
            case MinimumEpoch():
                result["minimum_epoch"] = policy.epoch
            case MaximumAge():
                result["maximum_age"] = int(policy.age.total_seconds())
            case _:
                return None
    return result


def _start() -> None:
    """Replaces what tests and their helpers will import, which is why it happens on import."""
    opening.unlock = _recorded


if _FOLDER is not None:
    _start()
