"""Signatures of older versions of model_signing; MODELKEEP_OMS_SAMPLES names their folder, else skipped.

The samples are `scripts/tests` of the repository sigstore/model-transparency.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelkeep.clock import LATEST_TIME
from modelkeep.errors import SignatureError
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.trust_file import TrustFile
from support.command_line import CommandLine
from support.sigstore_instance import SigstoreInstance, trusting
from support.workshop import Workshop

FOLDER = os.environ.get("MODELKEEP_OMS_SAMPLES")
VERSIONS = ("v0.3.1", "v1.0.0", "v1.0.1", "v1.1.0")
IDENTITY, ISSUER = "stefanb@us.ibm.com", "https://sigstore.verify.ibm.com/oauth2"

pytestmark = pytest.mark.skipif(FOLDER is None, reason="MODELKEEP_OMS_SAMPLES is not set")


def model_in(folder: Path) -> Path:
    """Returns what was signed: before 1.0.1 one file, later the folder."""
    return (
        folder / "signme-1"
        if (folder / "signme-1").exists() and not (folder / "signme-2").exists()
        else folder
    )


def trusted_root() -> Path:
    """Returns the trusted root that the library brings along."""
    found = importlib.util.find_spec("sigstore")
    assert found is not None
    assert found.origin is not None
    (root,) = (Path(found.origin).parent / "_store").glob("*tuf-repo-cdn.sigstore.dev/trusted_root.json")
    return root


@pytest.mark.parametrize("version", VERSIONS)
def test_signatures_with_keys_hold(command: CommandLine, version: str) -> None:
    folder = Path(FOLDER or "") / f"{version}-elliptic-key"
    key = Path(FOLDER or "") / "keys/certificate/signing-key-pub.pem"
    line = f"modelkeep verify {model_in(folder)} --signature {folder / 'model.sig'} -t {key}"
    command.ok(f"{line} --ignore ignore-me")


@pytest.mark.parametrize("version", VERSIONS)
def test_signatures_with_sigstore_identities_hold_for_nobody_else(command: CommandLine, version: str) -> None:
    folder = Path(FOLDER or "") / f"{version}-sigstore"
    line = f"modelkeep verify {model_in(folder)} --signature {folder / 'model.sig'}"
    line += f" --ignore ignore-me --sigstore-root {trusted_root()} --issuer {ISSUER}"
    assert IDENTITY in command.ok(f"{line} --identity {IDENTITY}").err
    refused = command.shell(f"{line} --identity somebody@example.org")
    assert (refused.code, "not signed by somebody@example.org" in refused.err) == (3, True)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_a_trust_file_believes_a_published_signature(workshop: Workshop, version: str) -> None:
    document = (Path(FOLDER or "") / f"{version}-sigstore" / "model.sig").read_bytes()
    root = trusted_root().read_text()
    trust = TrustFile(
        1, LATEST_TIME, (Publisher(SigstoreSigner(IDENTITY, ISSUER), ("*",)),), sigstore_root=root
    )
    signer = trusting(workshop, trust).verify_statement(document).signer
    assert signer.subject == ("email", IDENTITY)
    elsewhere = replace(trust, sigstore_root=SigstoreInstance().trusted_root().decode())
    with pytest.raises(SignatureError):
        trusting(workshop, elsewhere).verify_statement(document)
