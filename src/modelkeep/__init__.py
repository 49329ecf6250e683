"""modelkeep: protection for machine-learning models on devices their owner does not control.

Two verbs: `seal` a model once, `open` it on a device, in memory only.

    draft = modelkeep.seal("model.onnx", model="acme/detector", to=["pi-17.pub"], signer=publisher)
    draft.save("model.keep")

    with modelkeep.open("model.keep", identity=modelkeep.Identity("file:pi-17.pem"),
                        verifier=modelkeep.Verifier("publisher.pub", model="acme/detector")) as session:
        scores = session.run({"image": x})

Names are imported when they are first used: importing modelkeep loads neither NumPy nor
cryptography.
"""

from __future__ import annotations

import importlib

from modelkeep._version import __version__

# Set as `typing` would, whose import takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from modelkeep.bundle.bundle import Bundle
    from modelkeep.contract import Contract, TensorContract
    from modelkeep.errors import KeepError
    from modelkeep.extraction import extract
    from modelkeep.files import Files, open_files
    from modelkeep.granting import grant
    from modelkeep.grants.constraints import Constraints
    from modelkeep.guard import ClientGuard, Guard, GuardProfile
    from modelkeep.installing import install
    from modelkeep.isolation import Hardening, ProcessIsolation
    from modelkeep.keys.identity import Identity
    from modelkeep.learning import learn
    from modelkeep.manifest import Coverage, LeafAlgorithm, Manifest, Suite
    from modelkeep.sealing import Draft, seal
    from modelkeep.session import Report, Session
    from modelkeep.session import open_session as open
    from modelkeep.trust.certificates import CertificateRoots
    from modelkeep.trust.policy import AllOf, AnyOf, ExpectModel, MaximumAge, MinimumEpoch, UnsafeAnyModel
    from modelkeep.trust.second_signature import SecondSigner
    from modelkeep.trust.signer import Signer
    from modelkeep.trust.verifier import UnsafeUnsigned, Verifier

_HOMES = {
    "AllOf": "trust.policy",
    "AnyOf": "trust.policy",
    "Bundle": "bundle.bundle",
    "CertificateRoots": "trust.certificates",
    "ClientGuard": "guard",
    "Constraints": "grants.constraints",
    "Contract": "contract",
    "Coverage": "manifest",
    "Draft": "sealing",
    "ExpectModel": "trust.policy",
    "Files": "files",
    "Guard": "guard",
    "GuardProfile": "guard",
    "Hardening": "isolation",
    "Identity": "keys.identity",
    "KeepError": "errors",
    "LeafAlgorithm": "manifest",
    "Manifest": "manifest",
    "MaximumAge": "trust.policy",
    "MinimumEpoch": "trust.policy",
    "ProcessIsolation": "isolation",
    "Report": "session",
    "SecondSigner": "trust.second_signature",
    "Session": "session",
    "Signer": "trust.signer",
    "Suite": "manifest",
    "TensorContract": "contract",
    "UnsafeAnyModel": "trust.policy",
    "UnsafeUnsigned": "trust.verifier",
    "Verifier": "trust.verifier",
    "extract": "extraction",
    "grant": "granting",
    "install": "installing",
    "learn": "learning",
    "open": "session",
    "open_files": "files",
    "seal": "sealing",
}
_OTHER_NAMES = {"open": "open_session"}

__all__ = [
    "__version__",
    "AllOf",
    "AnyOf",
    "Bundle",
    "CertificateRoots",
    "ClientGuard",
    "Constraints",
    "Contract",
    "Coverage",
    "Draft",
    "ExpectModel",
    "Files",
    "Guard",
    "GuardProfile",
    "Hardening",
    "Identity",
    "KeepError",
    "LeafAlgorithm",
    "Manifest",
    "MaximumAge",
    "MinimumEpoch",
    "ProcessIsolation",
    "Report",
    "SecondSigner",
    "Session",
    "Signer",
    "Suite",
    "TensorContract",
    "UnsafeAnyModel",
    "UnsafeUnsigned",
    "Verifier",
    "extract",
    "grant",
    "install",
    "learn",
    "open",
    "open_files",
    "seal",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"modelkeep.{_HOMES[name]}")
    value = getattr(home, _OTHER_NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
