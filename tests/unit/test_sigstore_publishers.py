"""Publishers that are identities of Sigstore: what works, and what is no trusted root."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from modelkeep.errors import MalformedError, UsageError
from modelkeep.signer_id import TypedSubject
from modelkeep.trust import trust_editing
from modelkeep.trust.sigstore_identity import SigstoreVerifier
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.updates.installation import install
from support.attacker import Forgery
from support.command_line import CommandLine
from support.sigstore_instance import GITHUB, OURS, WORKFLOW, SigstoreInstance, trusting
from support.workshop import MODEL_ID, Workshop


@pytest.fixture(scope="module")
def instance() -> SigstoreInstance:
    return SigstoreInstance()


def test_a_workflow_publishes_and_its_certificate_may_have_ended(
    workshop: Workshop, instance: SigstoreInstance
) -> None:
    # Certificates last ten minutes, and these ended years ago: what counts is when the log saw the signature.
    bundle = workshop.seal(signer=instance.signer())
    trusted = trusting(workshop, instance.trust_file())
    workshop.open(bundle, verifier=trusted).close()
    installed = workshop.folder / "installed"
    install(bundle, installed, identity=workshop.identity(), verifier=trusted)
    workshop.open(installed, verifier=trusted).close()


def test_a_root_that_is_none_is_said(instance: SigstoreInstance, workshop: Workshop) -> None:
    document = bytes(Forgery(workshop.seal(signer=instance.signer())).files["model.sig"])
    for root in (b"", b"{}", b"[]", b"{", instance.trusted_root().replace(b"0.1", b"9.9")):
        with pytest.raises(MalformedError, match="not a trusted root"):
            SigstoreVerifier([OURS], root).verify_statement(document)
    trust = replace(instance.trust_file(), sigstore_root="")
    with pytest.raises(MalformedError, match="sigstore_root"):
        workshop.signed(trust)
    with pytest.raises(UsageError):
        SigstoreSigner("", GITHUB)


def test_identities_on_the_command_line(
    command: CommandLine, workshop: Workshop, instance: SigstoreInstance
) -> None:
    (command.folder / "trusted_root.json").write_bytes(instance.trusted_root())
    create = f"modelkeep trust create --expires +30d --identity {WORKFLOW}=acme/* --issuer {GITHUB}"
    assert command.shell(f"{create} -o trust.json").code == 2
    command.ok(f"{create} --sigstore-root trusted_root.json -o trust.json")
    command.ok("modelkeep keys create --kind root root.pem > root.pub")
    lone = f"modelkeep trust create --expires +30d --publisher root.pub=* --issuer {GITHUB} -o lone.json"
    assert "--issuer goes with --identity" in command.shell(lone).err
    command.ok("modelkeep trust sign trust.json -s root.pem --yes")
    shown = command.ok("modelkeep trust show trust.json --trust-root root.pub").out
    assert WORKFLOW in shown
    assert "sigstore root" in shown
    bundle = workshop.seal(signer=instance.signer())
    command.ok(f"modelkeep verify {bundle} -t trust.json --trust-root root.pub --model-id {MODEL_ID}")
    assert "an identity of Sigstore" in command.ok(f"modelkeep inspect {bundle}").out
    following = f"modelkeep trust next trust.json --remove {WORKFLOW} -o next.json"
    assert "older releases by other keys" in command.shell(following).err
    removed = command.ok(f"{following} --floor {bundle}")
    assert WORKFLOW in removed.err


def test_an_identity_is_remembered_as_what_it_is() -> None:
    for identity, kind in (("a@example.org", "email"), ("https://example.org/w.yml@refs/heads/main", "uri")):
        signer = SigstoreSigner(identity, "https://issuer.example").signed_with(bytes(32))
        assert signer.subject == TypedSubject(kind, identity)


def test_a_trusted_root_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_editing, "LARGEST_SIGSTORE_ROOT", 2)
    trust = SimpleNamespace(publishers=())
    with pytest.raises(UsageError, match="at most 2 bytes"):
        trust_editing.with_sigstore_root(trust, b"{ }")  # type: ignore[arg-type]
