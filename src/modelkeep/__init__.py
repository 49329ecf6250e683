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

    from modelkeep import guard_report, opening
    from modelkeep.bulk_granting import grant_all as grant_all
    from modelkeep.bundle.access import Access as Access
    from modelkeep.bundle.access import unlock as unlock
    from modelkeep.bundle.bundle import Bundle as Bundle
    from modelkeep.bundle.unlocked import Unlocked as Unlocked
    from modelkeep.clock import Clock as Clock
    from modelkeep.configuration import configured_identity as configured_identity
    from modelkeep.configuration import configured_verifier as configured_verifier
    from modelkeep.contract import Contract as Contract
    from modelkeep.contract import TensorContract as TensorContract
    from modelkeep.embedding import expose_embedding as expose_embedding
    from modelkeep.errors import ExpiredError as ExpiredError
    from modelkeep.errors import InputError as InputError
    from modelkeep.errors import KeepError as KeepError
    from modelkeep.errors import KeyStoreError as KeyStoreError
    from modelkeep.errors import MalformedError as MalformedError
    from modelkeep.errors import NetworkError as NetworkError
    from modelkeep.errors import NotForThisDeviceError as NotForThisDeviceError
    from modelkeep.errors import PostureError as PostureError
    from modelkeep.errors import RefusedError as RefusedError
    from modelkeep.errors import RollbackError as RollbackError
    from modelkeep.errors import RuntimeCrashedError as RuntimeCrashedError
    from modelkeep.errors import RuntimeMissingError as RuntimeMissingError
    from modelkeep.errors import RuntimeTimeoutError as RuntimeTimeoutError
    from modelkeep.errors import SignatureError as SignatureError
    from modelkeep.errors import StorageError as StorageError
    from modelkeep.errors import TamperedError as TamperedError
    from modelkeep.errors import UnavailableError as UnavailableError
    from modelkeep.errors import UnsupportedVersionError as UnsupportedVersionError
    from modelkeep.errors import UntrustedSignerError as UntrustedSignerError
    from modelkeep.errors import UsageError as UsageError
    from modelkeep.errors import WrongModelError as WrongModelError
    from modelkeep.extraction import extract as extract
    from modelkeep.files import Files as Files
    from modelkeep.files import open_files as open_files
    from modelkeep.finding import Finding as Finding
    from modelkeep.folder_signature import verify_folder as verify_folder
    from modelkeep.golden import Golden as Golden
    from modelkeep.golden import GoldenCase as GoldenCase
    from modelkeep.golden_limits import GoldenLimits as GoldenLimits
    from modelkeep.golden_limits import OutputRange as OutputRange
    from modelkeep.granter.enrolment import enrol as enrol
    from modelkeep.granter.granter import run_granter as run_granter
    from modelkeep.granting import grant as grant
    from modelkeep.grants.agreement_key import AgreementKey as AgreementKey
    from modelkeep.grants.constraints import Constraints as Constraints
    from modelkeep.grants.hpke import HpkeHandle as HpkeHandle
    from modelkeep.grants.recipient_text import format_recipient as format_recipient
    from modelkeep.grants.recipient_text import parse_recipient as parse_recipient
    from modelkeep.guard import ClientGuard as ClientGuard
    from modelkeep.guard import Guard as Guard
    from modelkeep.guard import GuardProfile as GuardProfile
    from modelkeep.guard import StreamGuard as StreamGuard
    from modelkeep.guard import Telemetry as Telemetry
    from modelkeep.guard.site import adapt as adapt
    from modelkeep.guard_report import measure_guard as measure_guard
    from modelkeep.guard_report import measure_session as measure_session
    from modelkeep.guard_report import write_report as write_report
    from modelkeep.isolation import Hardening as Hardening
    from modelkeep.isolation import ProcessIsolation as ProcessIsolation
    from modelkeep.isolation.preparation import prepare_isolation as prepare_isolation
    from modelkeep.isolation.privileges import forbid_core_dumps as forbid_core_dumps
    from modelkeep.key_purpose import Purpose as Purpose
    from modelkeep.keys.identity import Identity as Identity
    from modelkeep.keys.management import delete_key as delete_key
    from modelkeep.keys.registry import create_key as create_key
    from modelkeep.learning import learn as learn
    from modelkeep.learning import learn_at_site as learn_at_site
    from modelkeep.manifest import Coverage as Coverage
    from modelkeep.manifest import LeafAlgorithm as LeafAlgorithm
    from modelkeep.manifest import Manifest as Manifest
    from modelkeep.manifest import Suite as Suite
    from modelkeep.memory import Pages as Pages
    from modelkeep.opening_report import Report as Report
    from modelkeep.renewing import renew as renew
    from modelkeep.sealing import Draft as Draft
    from modelkeep.sealing import seal as seal
    from modelkeep.session import Session as Session
    from modelkeep.signer_id import SignerId as SignerId
    from modelkeep.site_file import save_site as save_site
    from modelkeep.trust.certificate_roots import CertificateRoots as CertificateRoots
    from modelkeep.trust.policy import AllOf as AllOf
    from modelkeep.trust.policy import AnyOf as AnyOf
    from modelkeep.trust.policy import ExpectModel as ExpectModel
    from modelkeep.trust.policy import MaximumAge as MaximumAge
    from modelkeep.trust.policy import MinimumEpoch as MinimumEpoch
    from modelkeep.trust.policy import UnsafeAnyModel as UnsafeAnyModel
    from modelkeep.trust.publisher import Publisher as Publisher
    from modelkeep.trust.release import Release as Release
    from modelkeep.trust.roots import Roots as Roots
    from modelkeep.trust.second_signature import SecondSigner as SecondSigner
    from modelkeep.trust.signer import Signer as Signer
    from modelkeep.trust.signers import open_signer as open_signer
    from modelkeep.trust.signing_keys import create_signing_key as create_signing_key
    from modelkeep.trust.trust_file import TrustFile as TrustFile
    from modelkeep.trust.unsigned import UnsafeUnsigned as UnsafeUnsigned
    from modelkeep.trust.verifier import Verifier as Verifier
    from modelkeep.updates.client.notes import Outcome as Outcome
    from modelkeep.updates.client.report import UpdateReport as UpdateReport
    from modelkeep.updates.client.updater import Updater as Updater
    from modelkeep.updates.installation import install as install
    from modelkeep.updates.repository.publishing import Wishes as Wishes
    from modelkeep.updates.repository.publishing import publish as publish
    from modelkeep.updates.repository.repository import Repository as Repository
    from modelkeep.updates.slots import Slots as Slots
    from modelkeep.updates.status import status as status
    from modelkeep.updates.trial import TrialResult as TrialResult
    from modelkeep.updates.trial import try_out as try_out
    from modelkeep.updates.trial_notes import TrialEnd as TrialEnd
    from modelkeep.updates.watch import Watched as Watched
    from modelkeep.updates.watch import watch as watch

    # Exported under other names than they have at home, which takes an assignment.
    ReportSettings = guard_report.Settings
    ReportState = guard_report.State
    open = opening.open_session

# Where each name is; behind a colon, what it is called there. A test holds this against the imports above.
_HOMES = {
    "Access": "bundle.access",
    "AgreementKey": "grants.agreement_key",
    "AllOf": "trust.policy",
    "AnyOf": "trust.policy",
    "Bundle": "bundle.bundle",
    "CertificateRoots": "trust.certificate_roots",
    "ClientGuard": "guard",
    "Clock": "clock",
    "Constraints": "grants.constraints",
    "Contract": "contract",
    "Coverage": "manifest",
    "Draft": "sealing",
    "ExpectModel": "trust.policy",
    "ExpiredError": "errors",
    "Files": "files",
    "Finding": "finding",
    "Golden": "golden",
    "GoldenCase": "golden",
    "GoldenLimits": "golden_limits",
    "Guard": "guard",
    "GuardProfile": "guard",
    "Hardening": "isolation",
    "HpkeHandle": "grants.hpke",
    "Identity": "keys.identity",
    "InputError": "errors",
    "KeepError": "errors",
    "KeyStoreError": "errors",
    "LeafAlgorithm": "manifest",
    "MalformedError": "errors",
    "Manifest": "manifest",
    "MaximumAge": "trust.policy",
    "MinimumEpoch": "trust.policy",
    "NetworkError": "errors",
    "NotForThisDeviceError": "errors",
    "Outcome": "updates.client.notes",
    "OutputRange": "golden_limits",
    "Pages": "memory",
    "PostureError": "errors",
    "ProcessIsolation": "isolation",
    "Publisher": "trust.publisher",
    "Purpose": "key_purpose",
    "RefusedError": "errors",
    "Release": "trust.release",
    "Report": "opening_report",
    "ReportSettings": "guard_report:Settings",
    "ReportState": "guard_report:State",
    "Repository": "updates.repository.repository",
    "RollbackError": "errors",
    "Roots": "trust.roots",
    "RuntimeCrashedError": "errors",
    "RuntimeMissingError": "errors",
    "RuntimeTimeoutError": "errors",
    "SecondSigner": "trust.second_signature",
    "Session": "session",
    "SignatureError": "errors",
    "Signer": "trust.signer",
    "SignerId": "signer_id",
    "Slots": "updates.slots",
    "StorageError": "errors",
    "StreamGuard": "guard",
    "Suite": "manifest",
    "TamperedError": "errors",
    "Telemetry": "guard",
    "TensorContract": "contract",
    "TrialEnd": "updates.trial_notes",
    "TrialResult": "updates.trial",
    "TrustFile": "trust.trust_file",
    "UnavailableError": "errors",
    "Unlocked": "bundle.unlocked",
    "UnsafeAnyModel": "trust.policy",
    "UnsafeUnsigned": "trust.unsigned",
    "UnsupportedVersionError": "errors",
    "UntrustedSignerError": "errors",
    "UpdateReport": "updates.client.report",
    "Updater": "updates.client.updater",
    "UsageError": "errors",
    "Verifier": "trust.verifier",
    "Watched": "updates.watch",
    "Wishes": "updates.repository.publishing",
    "WrongModelError": "errors",
    "adapt": "guard.site",
    "configured_identity": "configuration",
    "configured_verifier": "configuration",
    "create_key": "keys.registry",
    "create_signing_key": "trust.signing_keys",
    "delete_key": "keys.management",
    "enrol": "granter.enrolment",
    "expose_embedding": "embedding",
    "extract": "extraction",
    "forbid_core_dumps": "isolation.privileges",
    "format_recipient": "grants.recipient_text",
    "grant": "granting",
    "grant_all": "bulk_granting",
    "install": "updates.installation",
    "learn": "learning",
    "learn_at_site": "learning",
    "measure_guard": "guard_report",
    "measure_session": "guard_report",
    "open": "opening:open_session",
    "open_files": "files",
    "open_signer": "trust.signers",
    "parse_recipient": "grants.recipient_text",
    "prepare_isolation": "isolation.preparation",
    "publish": "updates.repository.publishing",
    "renew": "renewing",
    "run_granter": "granter.granter",
    "save_site": "site_file",
    "seal": "sealing",
    "status": "updates.status",
    "try_out": "updates.trial",
    "unlock": "bundle.access",
    "verify_folder": "folder_signature",
    "watch": "updates.watch",
    "write_report": "guard_report",
}

__all__ = list(_HOMES)
__all__ += ["__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, _, there = _HOMES[name].partition(":")
    from modelkeep.posix import importing

    with importing():
        value = getattr(importlib.import_module(f"modelkeep.{home}"), there or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
