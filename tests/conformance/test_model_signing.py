"""Both directions with the `model_signing` command: it verifies ours, we verify its."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelkeep.errors import SignatureError, UntrustedSignerError
from modelkeep.trust import oms
from modelkeep.trust.certificate_roots import CertificateRoots
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.statement import Statement
from modelkeep.trust.verifier import Verifier
from support.command_line import CommandLine
from support.needs import require

# Chosen so that the order part by part differs from the order of the strings.
FILES = {
    "manifest.json": b"{}",
    "payload/0": b"first",
    "payload/10": b"last",
    "payload/9": b"middle",
    "payload.d": b"",
    "Ünï": b"name",
}
IGNORED = ("model.sig", "grants")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


def model_signing(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "model_signing", *arguments)


def openssl(*arguments: str | Path) -> None:
    require("openssl")
    result = run("openssl", *arguments)
    assert result.returncode == 0, result.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@dataclass(frozen=True)
class Chain:
    key: Path
    leaf: Path
    issuers: Path
    roots: Path


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A root, an intermediate authority and a signing certificate, made by openssl."""
    place = tmp_path_factory.mktemp("chain")
    create_signing_key(place / "publisher.key", "signing-p384")
    for name in ("root", "middle"):
        create_signing_key(place / f"{name}.key")
    root, middle, leaf = place / "root.pem", place / "middle.pem", place / "publisher.pem"
    openssl(
        "req", "-x509", "-new", "-key", place / "root.key", "-subj", "/CN=root", "-days", "9", "-out", root
    )
    issue(
        place,
        "middle",
        "root",
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n",
    )
    issue(place, "publisher", "middle", "keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n")
    return Chain(place / "publisher.key", leaf, middle, root)


def issue(place: Path, name: str, issuer: str, extensions: str) -> None:
    request, settings = place / f"{name}.csr", place / f"{name}.cnf"
    settings.write_text(extensions)
    openssl("req", "-new", "-key", place / f"{name}.key", "-subj", f"/CN={name}", "-out", request)
    authority = ("-CA", place / f"{issuer}.pem", "-CAkey", place / f"{issuer}.key", "-CAcreateserial")
    settings_and_output = ("-extfile", settings, "-out", place / f"{name}.pem")
    openssl("x509", "-req", "-in", request, *authority, "-days", "5", *settings_and_output)


def digests() -> dict[str, bytes]:
    return {name: hashlib.sha256(content).digest() for name, content in FILES.items()}


def sign_ours(folder: Path, signer: Signer) -> Path:
    statement = Statement("model", digests(), IGNORED)
    size = oms.signature_size(statement, signer)
    path = folder / "model.sig"
    path.write_bytes(oms.pad(oms.sign(statement, signer), size))
    return path


def flip_first_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])
def test_it_verifies_our_key_signature_until_a_bit_flips(folder: Path, tmp_path: Path, curve: str) -> None:
    (tmp_path / "key.pub").write_bytes(create_signing_key(tmp_path / "key.pem", f"signing-{curve}"))
    signature = sign_ours(folder, Signer.from_pem(tmp_path / "key.pem"))
    command = ("verify", "key", folder, "--signature", signature, "--public_key", tmp_path / "key.pub")
    assert (accepted := model_signing(*command)).returncode == 0, accepted.stderr
    assert "WARNING" not in accepted.stdout
    flip_first_bit(folder / "payload/10")
    assert (refused := model_signing(*command)).returncode != 0
    assert "payload/10" in refused.stderr + refused.stdout


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])
def test_we_verify_its_key_signature(folder: Path, tmp_path: Path, curve: str) -> None:
    public = create_signing_key(tmp_path / "key.pem", f"signing-{curve}")
    signature = tmp_path / "model.sig"
    signed = model_signing(
        "sign", "key", folder, "--signature", signature, "--private_key", tmp_path / "key.pem"
    )
    assert signed.returncode == 0, signed.stderr
    verified = Verifier(public, model=UnsafeAnyModel()).verify_statement(signature.read_bytes())
    assert verified.statement.subject == "model"
    assert verified.statement.resources == digests()
    stranger = create_signing_key(tmp_path / "stranger.pem", f"signing-{curve}")
    with pytest.raises(UntrustedSignerError):
        Verifier(stranger, model=UnsafeAnyModel()).verify_statement(signature.read_bytes())


def test_what_it_ignored_is_not_among_the_resources(folder: Path, tmp_path: Path) -> None:
    public = create_signing_key(tmp_path / "key.pem")
    signature = tmp_path / "model.sig"
    where = ("--signature", signature, "--private_key", tmp_path / "key.pem")
    assert model_signing("sign", "key", folder, *where, "--ignore-paths", folder / "payload").returncode == 0
    statement = Verifier(public, model=UnsafeAnyModel()).verify_statement(signature.read_bytes()).statement
    assert set(FILES) - set(statement.resources) == {"payload/0", "payload/9", "payload/10"}
    assert "payload" in statement.ignore_paths


def test_it_verifies_our_certificate_signature_until_a_bit_flips(
    folder: Path, tmp_path: Path, chain: Chain
) -> None:
    together = tmp_path / "chain.pem"
    together.write_bytes(chain.leaf.read_bytes() + chain.issuers.read_bytes())
    signature = sign_ours(folder, Signer.from_pem(chain.key, certificates=together))
    roots = ("--certificate_chain", chain.roots)
    command = ("verify", "certificate", folder, "--signature", signature, *roots)
    assert (accepted := model_signing(*command)).returncode == 0, accepted.stderr
    flip_first_bit(folder / "manifest.json")
    assert model_signing(*command).returncode != 0


def test_we_verify_its_certificate_signature(folder: Path, tmp_path: Path, chain: Chain) -> None:
    signature = tmp_path / "model.sig"
    certificates = ("--signing_certificate", chain.leaf, "--certificate_chain", chain.issuers)
    where = ("--signature", signature, "--private_key", chain.key)
    signed = model_signing("sign", "certificate", folder, *where, *certificates)
    assert signed.returncode == 0, signed.stderr
    verifier = Verifier(CertificateRoots(chain.roots, subject="CN=publisher"), model=UnsafeAnyModel())
    verified = verifier.verify_statement(signature.read_bytes())
    assert verified.statement.resources == digests()
    assert str(verified.signer) == "certificate 'CN=publisher'"
    changed = signature.read_bytes().replace(b'"sig":"M', b'"sig":"N')
    with pytest.raises(SignatureError):
        verifier.verify_statement(changed)


def test_folders_that_it_signed_are_verified(
    folder: Path, tmp_path: Path, command: CommandLine, chain: Chain
) -> None:
    create_signing_key(tmp_path / "key.pem")
    (command.folder / "key.pub").write_bytes(create_signing_key(tmp_path / "one.pem"))
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref")
    signature = folder / "model.sig"
    where = ("--signature", signature, "--private_key", tmp_path / "one.pem")
    assert model_signing("sign", "key", folder, *where).returncode == 0
    line = f"modelkeep verify {folder} --signature {signature} -t key.pub"
    verified = command.ok(f"{line} --json")
    assert verified.json["files"] == sorted(FILES, key=lambda name: name.split("/"))
    assert verified.json["ignored"] == [".git/HEAD"]
    assert ".git/HEAD was left out" in verified.err
    signature.unlink()
    certificates = ("--signing_certificate", chain.leaf, "--certificate_chain", chain.issuers)
    by_chain = ("--signature", signature, "--private_key", chain.key, *certificates)
    assert model_signing("sign", "certificate", folder, *by_chain).returncode == 0
    assert command.shell(line).code == 3
    command.ok(f"modelkeep verify {folder} --signature {signature} -t {chain.roots} --subject CN=publisher")
    assert command.shell(f"{line} --unsafe-unsigned").code == 2


def test_folders_that_were_changed_since_are_refused(
    folder: Path, tmp_path: Path, command: CommandLine
) -> None:
    (command.folder / "key.pub").write_bytes(create_signing_key(tmp_path / "key.pem"))
    signature = tmp_path / "model.sig"
    where = ("--signature", signature, "--private_key", tmp_path / "key.pem")
    assert model_signing("sign", "key", folder, *where).returncode == 0
    line = f"modelkeep verify {folder} --signature {signature} -t key.pub"
    command.ok(line)
    flip_first_bit(folder / "payload/10")
    assert "payload/10 is not the file" in command.shell(line).err
    flip_first_bit(folder / "payload/10")
    (folder / "payload" / "11").write_bytes(b"more")
    assert "payload/11 is not among" in command.shell(line).err
    (folder / "payload" / "11").rename(tmp_path / "11")
    (folder / "payload/10").rename(tmp_path / "10")
    assert "payload/10 was signed and is missing" in command.shell(line).err
    (folder / "payload/10").symlink_to(tmp_path / "10")
    refused = command.shell(line)
    assert (refused.code, "is a link" in refused.err) == (3, True)


def test_one_file_that_it_signed_is_verified(folder: Path, tmp_path: Path, command: CommandLine) -> None:
    (command.folder / "key.pub").write_bytes(create_signing_key(tmp_path / "key.pem"))
    signature = tmp_path / "file.sig"
    where = ("--signature", signature, "--private_key", tmp_path / "key.pem")
    assert model_signing("sign", "key", folder / "payload/10", *where).returncode == 0
    line = f"modelkeep verify {folder / 'payload/10'} --signature {signature} -t key.pub"
    command.ok(line)
    flip_first_bit(folder / "payload/10")
    assert command.shell(line).code == 3
    # Nor does it speak for a folder.
    assert command.shell(f"modelkeep verify {folder} --signature {signature} -t key.pub").code == 3


def test_identities_need_an_issuer_and_a_pinned_root(folder: Path, command: CommandLine) -> None:
    (command.folder / "root.json").write_text("{}")
    (folder / "model.sig").write_text("{}")
    line = f"modelkeep verify {folder} --signature {folder / 'model.sig'} --identity me@example.org"
    assert command.shell(line).code == 2
    line += " --issuer https://accounts.example.org"
    assert command.shell(line).code == 2
    assert command.shell(f"{line} --sigstore-root nowhere.json").code == 6
    assert command.shell(f"{line} --sigstore-root root.json").code in (2, 5)
