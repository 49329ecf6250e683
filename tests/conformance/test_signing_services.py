"""Publishers' keys in signing services: AWS KMS as moto plays it, over HTTP; Vault as far as it goes."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelkeep import public_key
from modelkeep.errors import KeyStoreError, StorageError
from modelkeep.trust.service_errors import words_of_service
from modelkeep.trust.signers import open_signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from support.cloud_kms import SECRET_ACCESS_KEY, CloudKms, cloud_kms
from support.command_line import outside
from support.needs import require, require_module
from support.workshop import MODEL_ID, Workshop


@pytest.fixture
def kms(tmp_path: Path) -> Iterator[CloudKms]:
    with cloud_kms(tmp_path) as service:
        yield service


def refusal_of(uri: str) -> KeyStoreError:
    """Returns how signing with `uri` is refused, after looking for secrets in it."""
    with pytest.raises(KeyStoreError) as refusal:
        open_signer(uri).sign(b"hello")
    told = f"{refusal.value} {refusal.value.hint}"
    assert SECRET_ACCESS_KEY not in told
    assert "AKIA" not in told
    return refusal.value


@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_P384"])
def test_key_in_a_cloud_service_signs_bundles(workshop: Workshop, kms: CloudKms, spec: str) -> None:
    signer = open_signer(kms.create(spec))
    bundle = workshop.seal(signer=signer)
    trusted = public_key.to_pem(signer.public_key)
    assert workshop.read(bundle, verifier=Verifier(trusted, model=MODEL_ID))


def test_signature_of_a_cloud_service_verifies_with_openssl(kms: CloudKms, tmp_path: Path) -> None:
    require("openssl")
    uri = kms.create()
    (tmp_path / "message").write_bytes(b"hello")
    (tmp_path / "signature").write_bytes(open_signer(uri).sign(b"hello"))
    check = ["openssl", "dgst", "-sha256", "-verify", uri.partition("#")[2], "-signature", "signature"]
    subprocess.run([*check, "message"], cwd=tmp_path, check=True, capture_output=True)


def test_commands_seal_and_sign_with_a_key_in_a_cloud_service(workshop: Workshop, kms: CloudKms) -> None:
    uri = kms.create()
    kms.client("kms").create_alias(
        AliasName="alias/publisher", TargetKeyId=uri.removeprefix("awskms:").partition("#")[0]
    )
    public = uri.partition("#")[2]
    by_alias = f"awskms:alias/publisher#{public}"
    folder, device = workshop.folder, workshop.device.with_suffix(".pub")
    seal = f"seal {workshop.model()} --model-id {MODEL_ID} -r {device} -s {by_alias}".split()
    done = outside(*seal, "-o", folder / "model.keep")
    assert done.returncode == 0, done.stderr
    assert workshop.read(folder / "model.keep", verifier=Verifier(public, model=MODEL_ID))
    trust = folder / "trust.json"
    (folder / "publisher.pub").write_bytes(workshop.publisher_public)
    create = f"trust create -o {trust} --expires +1d --publisher {folder / 'publisher.pub'}=*".split()
    assert outside(*create).returncode == 0
    assert outside("trust", "sign", trust, "-s", by_alias, "--yes").returncode == 0
    assert TrustFile.from_bytes(trust.read_bytes(), [public]).number == 1


def test_wrong_key_id_is_told(kms: CloudKms) -> None:
    public = kms.create().partition("#")[2]
    refusal = refusal_of(f"awskms:00000000-0000-0000-0000-000000000000#{public}")
    assert "'awskms' has no such key" in str(refusal)
    assert refusal.hint


def test_public_key_of_another_key_is_told(kms: CloudKms) -> None:
    private, public = kms.create().partition("#")[0], kms.create().partition("#")[2]
    assert "another key than the public key given" in str(refusal_of(f"{private}#{public}"))


@pytest.mark.parametrize(
    ("code", "problem"),
    [("DisabledException", "cannot be used"), ("ThrottlingException", "failed: ClientError")],
)
def test_answers_that_the_service_here_does_not_give_are_told(kms: CloudKms, code: str, problem: str) -> None:
    answer = {"Error": {"Code": code, "Message": SECRET_ACCESS_KEY}}
    with pytest.raises(KeyStoreError, match=problem) as refusal, words_of_service("awskms"):
        raise importlib.import_module("botocore.exceptions").ClientError(answer, "Sign")
    assert SECRET_ACCESS_KEY not in f"{refusal.value} {refusal.value.hint}"


def test_key_on_another_curve_is_told(kms: CloudKms) -> None:
    private, public = kms.create("ECC_NIST_P384").partition("#")[0], kms.create().partition("#")[2]
    assert "another use or algorithm" in str(refusal_of(f"{private}#{public}"))


def test_service_that_does_not_allow_it_is_told(kms: CloudKms) -> None:
    uri = kms.create()
    users = kms.client("iam")
    users.create_user(UserName="clerk")
    key = users.create_access_key(UserName="clerk")["AccessKey"]
    with kms.restricted():
        kms.log_in(key["AccessKeyId"], key["SecretAccessKey"])
        refusal = refusal_of(uri)
        assert "refuses" in str(refusal)
        assert "kms:Sign" in (refusal.hint or "")
        assert key["SecretAccessKey"] not in f"{refusal} {refusal.hint}"
        kms.log_in("AKIANOBODY", "nothing")
        assert "refuses" in str(refusal_of(uri))


def test_service_that_is_down_is_told(kms: CloudKms) -> None:
    uri = kms.create()
    kms.stop()
    assert "'awskms' cannot be reached" in str(refusal_of(uri))


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "needs credentials"),
        (("AWS_DEFAULT_REGION",), "region"),
    ],
)
def test_what_the_service_needs_to_know_is_told(
    kms: CloudKms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: tuple[str, ...], problem: str
) -> None:
    uri = kms.create()
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in variables:
        monkeypatch.delenv(name)
    # boto3 keeps what it found before, so the attempt is made as a command of its own.
    done = outside("trust", "sign", signable(tmp_path), "-s", uri, "--yes")
    assert (done.returncode, problem in done.stderr, "hint: " in done.stderr) == (6, True, True)


def test_failure_is_told_once_and_in_our_words(kms: CloudKms, tmp_path: Path) -> None:
    uri = kms.create()
    kms.stop()
    done = outside("trust", "sign", signable(tmp_path), "-s", uri, "--yes")
    assert [line for line in done.stderr.splitlines() if "aws" in line.lower()] == [
        "modelkeep: the signer 'awskms' cannot be reached"
    ]


def signable(folder: Path) -> Path:
    trust, public = folder / "trust.json", folder / "publisher.pub"
    public.write_bytes(create_signing_key(folder / "publisher.pem"))
    create = f"trust create -o {trust} --expires +1d --publisher {public}=*".split()
    assert outside(*create).returncode == 0
    return trust


def test_vault_that_is_down_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_module("hvac", "services")
    # Port 9 is "discard": nobody listens there.
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    monkeypatch.setenv("VAULT_TOKEN", SECRET_ACCESS_KEY)
    (tmp_path / "vault.pub").write_bytes(create_signing_key(tmp_path / "vault.pem"))
    assert "'hv' cannot be reached" in str(refusal_of(f"hv:publisher/1#{tmp_path / 'vault.pub'}"))


BLOCKED = """
import json, sys
for name in ("boto3", "hvac", "google.cloud", "azure.identity", "azure.core.exceptions"):
    sys.modules[name] = None
from modelkeep.errors import KeyStoreError
from modelkeep.trust.signers import open_signer
hints = {}
for scheme in ("awskms", "hv", "gcpkms", "azurekms"):
    try:
        open_signer(f"{scheme}:publisher/1#{sys.argv[1]}")
    except KeyStoreError as error:
        hints[scheme] = [str(error), error.hint]
print(json.dumps(hints))
"""


def test_library_that_a_service_needs_is_named(tmp_path: Path) -> None:
    (tmp_path / "service.pub").write_bytes(create_signing_key(tmp_path / "service.pem"))
    command = [sys.executable, "-c", BLOCKED, str(tmp_path / "service.pub")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
    hints = json.loads(done.stdout)
    extras = {"awskms": "awskms", "hv": "vault", "gcpkms": "gcpkms", "azurekms": "azurekms"}
    assert hints == {
        scheme: [f"the signer {scheme!r} lacks its library", f"pip install 'securesystemslib[{extra}]'"]
        for scheme, extra in extras.items()
    }


def test_error_of_ours_passes_and_a_missing_library_is_named_by_its_class() -> None:
    signers = importlib.import_module("securesystemslib.exceptions")
    with pytest.raises(KeyStoreError, match="'hv' lacks its library"), words_of_service("hv"):
        raise signers.UnsupportedLibraryError("hvac")
    with pytest.raises(StorageError, match="as it was"), words_of_service("hv"):
        raise StorageError("as it was")
