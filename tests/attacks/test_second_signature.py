"""Second signatures that are missing, borrowed, or made by others, with the first key in their hands."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelkeep import public_key
from modelkeep.errors import MalformedError, SignatureError, UntrustedSignerError
from modelkeep.trust import second_signature
from modelkeep.trust.second_signature import SecondSigner
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.statement import Statement
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from support.attacker import Forgery
from support.planting import files_of, write_archive
from support.workshop import Workshop

SECOND = "signatures/0"


def _new_signer(path: Path) -> SecondSigner:
    create_signing_key(path, "ml-dsa-65")
    return SecondSigner.from_pem(path)


@pytest.fixture
def second(workshop: Workshop) -> SecondSigner:
    return _new_signer(workshop.folder / "second.pem")


@pytest.fixture
def demanding(workshop: Workshop, second: SecondSigner) -> Verifier:
    return workshop.verifier(second=second.public_key)


@pytest.fixture
def forgery(workshop: Workshop, second: SecondSigner) -> Forgery:
    return Forgery(workshop.seal(second_signer=second))


def _open(workshop: Workshop, forgery: Forgery, verifier: Verifier) -> None:
    workshop.open(forgery.write(workshop.folder / "forged.keep"), verifier=verifier).close()


def test_a_stripped_second_signature_is_missed(
    workshop: Workshop, forgery: Forgery, demanding: Verifier
) -> None:
    _open(workshop, forgery, demanding)
    del forgery.files[SECOND]
    with pytest.raises(SignatureError, match="no second signature"):
        _open(workshop, forgery, demanding)
    _open(workshop, forgery, workshop.verifier())


def test_a_stolen_first_key_does_not_sign_another_model(
    workshop: Workshop, forgery: Forgery, demanding: Verifier
) -> None:
    # What else a manifest says is in its commitment, too, for which the thief lacks the data key.
    forgery.edit_manifest(ext={"colour": "red"})
    forgery.sign(workshop.signer)
    _open(workshop, forgery, workshop.verifier())
    with pytest.raises(SignatureError, match="second signature does not verify"):
        _open(workshop, forgery, demanding)


def test_the_second_signature_of_another_bundle_is_refused(
    workshop: Workshop, forgery: Forgery, second: SecondSigner, demanding: Verifier
) -> None:
    forgery.files[SECOND] = Forgery(workshop.seal(second_signer=second)).files[SECOND]
    with pytest.raises(SignatureError, match="second signature does not verify"):
        _open(workshop, forgery, demanding)


def test_a_second_signature_with_a_key_of_the_attackers_own_is_refused(
    workshop: Workshop, demanding: Verifier
) -> None:
    attacker = _new_signer(workshop.folder / "attacker.pem")
    forgery = Forgery(workshop.seal(second_signer=attacker))
    with pytest.raises(UntrustedSignerError, match="not trusted here"):
        _open(workshop, forgery, demanding)


def test_a_lie_about_the_second_key_does_not_help(
    workshop: Workshop, second: SecondSigner, demanding: Verifier
) -> None:
    attacker = _new_signer(workshop.folder / "attacker.pem")
    forgery = Forgery(workshop.seal(second_signer=attacker))
    lie = public_key.fingerprint(second.public_key).encode()
    truth = public_key.fingerprint(attacker.public_key).encode()
    forgery.files[SECOND] = forgery.files[SECOND].replace(truth, lie)
    with pytest.raises(SignatureError, match="second signature does not verify"):
        _open(workshop, forgery, demanding)


@pytest.mark.parametrize("document", [b"", b"{}", b"null", b"\xff" * 40, b" "])
def test_a_damaged_second_document_is_refused(
    workshop: Workshop, forgery: Forgery, demanding: Verifier, document: bytes
) -> None:
    forgery.files[SECOND][:] = document
    with pytest.raises(MalformedError):
        _open(workshop, forgery, demanding)
    _open(workshop, forgery, workshop.verifier())


def test_a_second_signature_does_not_replace_the_first(
    workshop: Workshop, forgery: Forgery, second: SecondSigner, demanding: Verifier
) -> None:
    create_signing_key(workshop.folder / "attacker.pem")
    # What else a manifest says is in its commitment, too, for which the thief lacks the data key.
    forgery.edit_manifest(ext={"colour": "red"})
    forgery.sign(Signer.from_pem(workshop.folder / "attacker.pem"))
    statement = Statement("a model", forgery.resources())
    forgery.files[SECOND] = bytearray(second_signature.sign(statement, second))
    with pytest.raises(UntrustedSignerError, match="not trusted here"):
        _open(workshop, forgery, demanding)
    del forgery.files["model.sig"]
    with pytest.raises(SignatureError, match="not signed"):
        _open(workshop, forgery, demanding)


def test_an_installation_needs_the_second_signature_at_every_opening(
    workshop: Workshop, second: SecondSigner, demanding: Verifier
) -> None:
    bundle, target = workshop.seal(second_signer=second), workshop.folder / "installed.keep"
    install(bundle, target, identity=workshop.identity(), verifier=demanding)
    workshop.open(target, verifier=demanding).close()
    files = files_of(target)
    del files[SECOND]
    write_archive(target, files)
    with pytest.raises(SignatureError, match="no second signature"):
        workshop.open(target, verifier=demanding)
    workshop.open(target).close()
