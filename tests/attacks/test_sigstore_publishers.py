"""Publishers that are identities of Sigstore: other people's workflows, other Sigstores, other bytes.

The instance is made by the test, of real keys; Sigstore's own library judges what it says.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelkeep.errors import (
    MalformedError,
    RefusedError,
    RollbackError,
    SignatureError,
    UntrustedSignerError,
)
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.updates.installation import install
from support.attacker import Forgery
from support.sigstore_instance import GITHUB, OURS, WORKFLOW, SigstoreInstance, trusting
from support.workshop import MODEL_ID, Workshop


@pytest.fixture(scope="module")
def instance() -> SigstoreInstance:
    return SigstoreInstance()


@pytest.mark.parametrize(
    ("identity", "issuer"),
    [
        (WORKFLOW.replace("acme/models", "acme/other"), GITHUB),
        (WORKFLOW.replace("acme/models", "acme/models-fork"), GITHUB),
        (WORKFLOW.replace("release.yml", "test.yml"), GITHUB),
        (WORKFLOW.replace("heads/main", "heads/topic"), GITHUB),
        (WORKFLOW.replace("heads/main", "pull/7/merge"), GITHUB),
        (WORKFLOW + "2", GITHUB),
        (WORKFLOW, "https://accounts.example"),
        ("somebody@acme.example", GITHUB),
    ],
)
def test_another_repository_workflow_reference_or_issuer_is_somebody_else(
    workshop: Workshop, instance: SigstoreInstance, identity: str, issuer: str
) -> None:
    bundle = workshop.seal(signer=instance.signer(identity, issuer))
    with pytest.raises(UntrustedSignerError, match="not signed by"):
        workshop.open(bundle, verifier=trusting(workshop, instance.trust_file()))
    named = Publisher(SigstoreSigner(identity, issuer), ("acme/*",))
    workshop.open(bundle, verifier=trusting(workshop, instance.trust_file(named))).close()


def test_another_sigstore_is_not_pinned(workshop: Workshop, instance: SigstoreInstance) -> None:
    # Of the same name, which certifies whatever one likes.
    bundle = workshop.seal(signer=SigstoreInstance().signer())
    with pytest.raises(SignatureError, match="not signed by"):
        workshop.open(bundle, verifier=trusting(workshop, instance.trust_file()))


def test_a_signature_counts_for_its_own_bytes(workshop: Workshop, instance: SigstoreInstance) -> None:
    trusted = trusting(workshop, instance.trust_file())
    forgery = Forgery(workshop.seal(signer=instance.signer(), epoch=9))
    other = Forgery(workshop.seal(signer=instance.signer()))
    forgery.files["model.sig"] = other.files["model.sig"]
    with pytest.raises(RefusedError):
        workshop.open(forgery.write(workshop.folder / "forged.keep"), verifier=trusted)


def moved_in_time(entry: dict[str, Any]) -> None:
    entry["integratedTime"] = str(int(entry["integratedTime"]) + 3600)


def without_promise(entry: dict[str, Any]) -> None:
    del entry["inclusionPromise"]


def without_proof(entry: dict[str, Any]) -> None:
    del entry["inclusionProof"]


def with_another_root(entry: dict[str, Any]) -> None:
    entry["inclusionProof"]["rootHash"] = "A" * 43 + "="


@pytest.mark.parametrize("change", [moved_in_time, without_promise, without_proof, with_another_root])
def test_what_the_log_did_not_say_is_no_proof(
    instance: SigstoreInstance, workshop: Workshop, change: Callable[[dict[str, Any]], None]
) -> None:
    forgery = Forgery(workshop.seal(signer=instance.signer()))
    document = json.loads(bytes(forgery.files["model.sig"]))
    change(document["verificationMaterial"]["tlogEntries"][0])
    trusted = trusting(workshop, instance.trust_file())
    with pytest.raises((SignatureError, MalformedError)):
        trusted.verify_statement(json.dumps(document).encode())


def test_an_identity_signs_its_own_models(workshop: Workshop, instance: SigstoreInstance) -> None:
    bundle = workshop.seal(signer=instance.signer())
    own = Publisher(workshop.signer.public_key, ("acme/*",))
    trusted = trusting(workshop, instance.trust_file(own, models=("audio/*",)))
    with pytest.raises(UntrustedSignerError, match="may not sign model"):
        workshop.open(bundle, verifier=trusted)
    # A file that names keys alone believes no identity.
    with pytest.raises(UntrustedSignerError, match="an identity of Sigstore"):
        workshop.open(bundle, verifier=workshop.verifier())


def test_releases_of_one_identity_are_in_one_order(workshop: Workshop, instance: SigstoreInstance) -> None:
    # Each is signed by a key of its own, which must not make each a publisher of its own.
    trusted = trusting(workshop, instance.trust_file())
    old, new = (workshop.seal(signer=instance.signer(), epoch=epoch) for epoch in (1, 2))
    for number, bundle in enumerate((old, new)):
        target = workshop.folder / f"{number}.installed"
        install(bundle, target, identity=workshop.identity(), verifier=trusted)
    with pytest.raises(RollbackError):
        install(old, workshop.folder / "2.installed", identity=workshop.identity(), verifier=trusted)


def test_one_signature_of_an_identity_is_revoked_by_its_key(
    workshop: Workshop, instance: SigstoreInstance
) -> None:
    bundle = workshop.seal(signer=instance.signer())
    trust = instance.trust_file()
    document = bytes(Forgery(bundle).files["model.sig"])
    key = trusting(workshop, trust).verify_statement(document).signer.key.hex()
    with pytest.raises(UntrustedSignerError):
        workshop.open(bundle, verifier=trusting(workshop, replace(trust, revoked_keys=frozenset({key}))))


def test_a_second_signature_is_asked_of_identities_too(
    workshop: Workshop, instance: SigstoreInstance, tmp_path: Path
) -> None:
    second = create_signing_key(tmp_path / "second.pem", "ml-dsa-65")
    trusted = trusting(workshop, instance.trust_file(), second=second)
    with pytest.raises(SignatureError):
        workshop.open(workshop.seal(signer=instance.signer()), verifier=trusted)


def test_the_same_name_by_another_issuer_is_another_publisher(
    workshop: Workshop, instance: SigstoreInstance
) -> None:
    # Both are trusted, for models of their own; neither signs, nor holds up, the other's.
    other = SigstoreSigner(WORKFLOW, "https://accounts.example")
    trust = instance.trust_file(Publisher(other, ("audio/*",)))
    bundle = workshop.seal(signer=instance.signer(other.identity, other.issuer))
    with pytest.raises(UntrustedSignerError, match="may not sign model"):
        workshop.open(bundle, verifier=trusting(workshop, trust))
    assert trust.vouches(MODEL_ID, OURS.signed_with(bytes(32)))
    assert not trust.vouches(MODEL_ID, other.signed_with(bytes(32)))
