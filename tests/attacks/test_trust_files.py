"""An old trust file that comes back, in which a key that was stolen since is still trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from modelkeep import public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import MalformedError, RefusedError, RollbackError, TamperedError, UntrustedSignerError
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.keys.identity import Identity
from modelkeep.keys.registry import create_key
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from modelkeep.updates.transfer import Transfer
from support.states import path_of
from support.swtpm import SoftwareTpm
from support.workshop import MODEL_ID, Workshop

OLDER = "trust file 1 is older than 2, which this device has seen"


class Files(NamedTuple):
    """What publishers sent: two trust files, and a bundle that the thief of a key signed."""

    roots: list[bytes]
    old: bytes
    new: bytes
    stolen: Path

    def verifier(self, data: bytes, **options: Any) -> Verifier:
        return Verifier.from_trust_file(TrustFile.from_bytes(data, self.roots, **options), model=MODEL_ID)


@pytest.fixture
def files(workshop: Workshop) -> Files:
    root = new_signer(workshop, "root")
    thief = new_signer(workshop, "stolen")
    publishers = tuple(Publisher(signer.public_key, ("*",)) for signer in (workshop.signer, thief))
    revoked = frozenset({public_key.fingerprint(thief.public_key)})
    old, new = TrustFile(1, LATEST_TIME, publishers), TrustFile(2, LATEST_TIME, publishers, revoked)
    roots = [public_key.to_pem(root.public_key)]
    return Files(roots, old.to_bytes(root), new.to_bytes(root), workshop.seal(signer=thief, epoch=7))


def new_signer(workshop: Workshop, name: str) -> Signer:
    create_signing_key(workshop.folder / f"{name}.pem")
    return Signer.from_pem(workshop.folder / f"{name}.pem")


def install_one(workshop: Workshop, bundle: Path, verifier: Verifier) -> Path:
    target = workshop.folder / "installed.keep"
    return install(bundle, target, identity=workshop.identity(), verifier=verifier, force=True).path


def test_an_old_trust_file_is_of_no_use_to_install(workshop: Workshop, files: Files) -> None:
    install_one(workshop, workshop.seal(), files.verifier(files.new))
    with pytest.raises(RollbackError, match=OLDER):
        install_one(workshop, files.stolen, files.verifier(files.old))


def test_an_old_trust_file_is_of_no_use_to_open_an_installation(workshop: Workshop, files: Files) -> None:
    # The thief's model was installed before anybody knew; the newer file comes with an opening alone.
    installed = install_one(workshop, files.stolen, files.verifier(files.old))
    workshop.open(installed, verifier=files.verifier(files.old)).close()
    honest = install(
        workshop.seal(epoch=7),
        workshop.folder / "honest.keep",
        identity=workshop.identity(),
        verifier=files.verifier(files.old),
    ).path
    with pytest.raises(RefusedError, match="key that is revoked"):
        workshop.open(installed, verifier=files.verifier(files.new))
    workshop.open(honest, verifier=files.verifier(files.new)).close()
    for each in (installed, honest):
        with pytest.raises(RollbackError, match=OLDER):
            workshop.open(each, verifier=files.verifier(files.old))


def test_an_old_trust_file_is_of_no_use_to_open_a_bundle(workshop: Workshop, files: Files) -> None:
    install_one(workshop, workshop.seal(), files.verifier(files.old))
    workshop.open(workshop.seal(), verifier=files.verifier(files.new)).close()
    with pytest.raises(RollbackError, match=OLDER):
        workshop.open(files.stolen, verifier=files.verifier(files.old))


def test_a_newer_trust_file_that_comes_while_a_model_is_installed(
    workshop: Workshop, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_one(workshop, workshop.seal(), files.verifier(files.old))
    bundle, stolen = workshop.seal(), files.verifier(files.old)
    original = Transfer.run

    def run(self: Transfer) -> None:
        original(self)
        workshop.open(bundle, verifier=files.verifier(files.new)).close()

    monkeypatch.setattr(Transfer, "run", run)
    before = (workshop.folder / "installed.keep").read_bytes()
    with pytest.raises(RollbackError, match=OLDER):
        install_one(workshop, files.stolen, stolen)
    assert (workshop.folder / "installed.keep").read_bytes() == before


def test_a_floor_for_whoever_has_no_state(workshop: Workshop, files: Files) -> None:
    workshop.open(files.stolen, verifier=files.verifier(files.old)).close()
    with pytest.raises(RollbackError, match="older than 2"):
        files.verifier(files.old, minimum=2)


def test_lowering_the_number_in_the_state(workshop: Workshop, files: Files) -> None:
    install_one(workshop, workshop.seal(), files.verifier(files.new))
    path = path_of(workshop.identity())
    content = path.read_bytes()
    for position in range(20, len(content), 97):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises((TamperedError, MalformedError)):
            workshop.open(files.stolen, verifier=files.verifier(files.old))
    path.write_bytes(content)
    with pytest.raises(RollbackError, match=OLDER):
        workshop.open(files.stolen, verifier=files.verifier(files.old))


def test_the_trust_file_of_another_publisher_is_no_older_one(workshop: Workshop, files: Files) -> None:
    other = new_signer(workshop, "other-root")
    theirs = TrustFile(1, LATEST_TIME, (Publisher(workshop.signer.public_key, ("*",)),)).to_bytes(other)
    install_one(workshop, workshop.seal(), files.verifier(files.new))
    verifier = Verifier.from_trust_file(
        TrustFile.from_bytes(theirs, [public_key.to_pem(other.public_key)]), model=MODEL_ID
    )
    workshop.open(workshop.seal(), verifier=verifier).close()
    with pytest.raises(RollbackError, match=OLDER):
        workshop.open(workshop.seal(), verifier=files.verifier(files.old))


def test_an_old_trust_file_that_comes_with_its_old_disk(
    workshop: Workshop, files: Files, tpm: SoftwareTpm
) -> None:
    assert tpm.tcti
    key = f"tpm2:{workshop.folder / 'device.tpm'}"
    recipient = create_key(key)
    assert isinstance(recipient, HpkeRecipient)
    bundle, target = workshop.seal(to=[recipient]), workshop.folder / "installed.keep"
    old, new = files.verifier(files.old), files.verifier(files.new)
    install(bundle, target, identity=Identity(key), verifier=old)
    disk = path_of(Identity(key))
    kept = disk.read_bytes()
    workshop.open(target, identity=Identity(key), verifier=new).close()
    with pytest.raises(RollbackError, match=OLDER):
        workshop.open(target, identity=Identity(key), verifier=old)
    disk.write_bytes(kept)
    for path in (target, bundle):
        with pytest.raises(RollbackError, match="not the newest state"):
            workshop.open(path, identity=Identity(key), verifier=old)
    disk.unlink()
    with pytest.raises(RollbackError, match="was lost"):
        workshop.open(bundle, identity=Identity(key), verifier=old)


def test_a_grant_of_an_issuer_whose_key_is_revoked_does_not_open(workshop: Workshop) -> None:
    """A box for granting was stolen; what it still grants, and what it granted, is of no use."""
    root, issuer = new_signer(workshop, "root"), new_signer(workshop, "issuer")
    bundle = workshop.seal(grant_signer=issuer)
    publishers = (Publisher(workshop.signer.public_key, ("*",)),)
    revoked = frozenset({public_key.fingerprint(issuer.public_key)})
    for trust in (TrustFile(1, LATEST_TIME, publishers), TrustFile(2, LATEST_TIME, publishers, revoked)):
        data = TrustFile.from_bytes(trust.to_bytes(root), [public_key.to_pem(root.public_key)])
        verifier = Verifier.from_trust_file(data, model=MODEL_ID)
        if trust.number == 1:
            workshop.open(bundle, verifier=verifier).close()
            continue
        with pytest.raises(UntrustedSignerError, match="issuer .* is revoked"):
            workshop.open(bundle, verifier=verifier)
