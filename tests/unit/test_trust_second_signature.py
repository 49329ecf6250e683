from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mldsa

from modelkeep import canonical
from modelkeep.bundle.bundle import Bundle
from modelkeep.errors import KeyStoreError, MalformedError, UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.trust import private_key, second_signature
from modelkeep.trust.second_signature import SecondSigner
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.statement import Statement
from support.command_line import CommandLine
from support.workshop import Workshop

STATEMENT = Statement("acme/detector", {"manifest.json": bytes(32)})


@pytest.fixture
def signer(tmp_path: Path) -> SecondSigner:
    create_signing_key(tmp_path / "second.pem", "ml-dsa-65")
    return SecondSigner.from_pem(tmp_path / "second.pem")


def test_generated_key_file_is_private_marked_and_its_public_key_is_returned(tmp_path: Path) -> None:
    pem = create_signing_key(tmp_path / "second.pem", "ml-dsa-65")
    assert (tmp_path / "second.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "second.pem").read_bytes().startswith(b"modelkeep purpose: bundle\n")
    assert second_signature.load_key(pem) == SecondSigner.from_pem(tmp_path / "second.pem").public_key


def test_encrypted_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "second.pem", "ml-dsa-65", passphrase=b"correct horse")
    assert SecondSigner.from_pem(tmp_path / "second.pem", passphrase=b"correct horse").public_key
    with pytest.raises(KeyStoreError, match="is encrypted"):
        SecondSigner.from_pem(tmp_path / "second.pem")


def test_kinds_of_keys_are_not_mixed_up(tmp_path: Path) -> None:
    first_public = create_signing_key(tmp_path / "first.pem")
    create_signing_key(tmp_path / "second.pem", "ml-dsa-65")
    weaker = mldsa.MLDSA44PrivateKey.generate()
    private_key.write(tmp_path / "weaker.pem", weaker, Purpose.BUNDLE, None, force=False)
    for name in ("first.pem", "weaker.pem"):
        with pytest.raises(UsageError, match="ML-DSA-65 keys only"):
            SecondSigner.from_pem(tmp_path / name)
    with pytest.raises(UsageError, match="elliptic-curve keys only"):
        Signer.from_pem(tmp_path / "second.pem")
    with pytest.raises(UsageError, match="not an ML-DSA-65 public key"):
        second_signature.load_key(first_public)
    with pytest.raises(UsageError, match="not a PEM public key"):
        second_signature.load_key(b"a key")


def test_the_document_has_its_form_and_its_announced_length(signer: SecondSigner) -> None:
    document = second_signature.sign(STATEMENT, signer)
    assert len(document) == second_signature.document_size(signer)
    members = canonical.decode(document, "document")
    assert isinstance(members, dict)
    assert set(members) == {"mediaType", "algorithm", "key", "signature"}
    assert members["algorithm"] == "ml-dsa-65"


def test_the_signature_is_over_the_bytes_of_the_first_one(signer: SecondSigner) -> None:
    payload = STATEMENT.to_bytes()
    second_signature.verify(second_signature.sign(STATEMENT, signer), signer.public_key, payload)
    covered = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    signer.public_key.verify(signer.sign(covered), covered)


@pytest.mark.parametrize(
    "change",
    [{"algorithm": "ml-dsa-44"}, {"mediaType": "text/plain"}, {"signature": "A" * 4416}, {"more": 1}],
)
def test_other_documents_are_malformed(signer: SecondSigner, change: dict[str, object]) -> None:
    members = canonical.decode(second_signature.sign(STATEMENT, signer), "document")
    assert isinstance(members, dict)
    document = canonical.encode(members | change)
    with pytest.raises(MalformedError):
        second_signature.verify(document, signer.public_key, STATEMENT.to_bytes())


def test_a_bundle_without_second_signer_has_no_further_signatures(
    workshop: Workshop, signer: SecondSigner
) -> None:
    with Bundle(workshop.seal()) as plain, Bundle(workshop.seal(second_signer=signer)) as both:
        assert [*both.sizes][:3] == ["manifest.json", "model.sig", "signatures/0"]
        assert [name for name in both.sizes if name != "signatures/0"] == [*plain.sizes]


def test_a_second_signature_needs_a_first_one(workshop: Workshop, signer: SecondSigner) -> None:
    with pytest.raises(UsageError, match="needs a first one"):
        workshop.seal(signer=None, unsafe_unsigned=True, second_signer=signer)


def test_the_command_line_signs_twice_and_demands_it(shop: CommandLine) -> None:
    public = shop.ok("modelkeep keys create --kind ml-dsa-65 second.pem > second.pub").out
    assert serialization.load_pem_public_key(public.encode())
    shop.ok("modelkeep seal model.onnx -r pi-17.pub -s publisher.pem --second-signer second.pem -o two.keep")
    trust = "-t publisher.pub --second-trust second.pub"
    shop.ok(f"modelkeep verify two.keep {trust}")
    shop.ok(f"modelkeep run two.keep -k file:pi-17.pem {trust} -i x=x.npy")
    refused = shop.shell(f"modelkeep run model.keep -k file:pi-17.pem {trust} -i x=x.npy")
    assert (refused.code, "no second signature" in refused.err) == (3, True)
    shop.ok("modelkeep verify two.keep -t publisher.pub")


@pytest.mark.parametrize(
    "line",
    [
        "modelkeep keys create --algorithm ml-dsa-65 key.pem",
        "modelkeep keys create --kind plain --algorithm ml-dsa-65 key.pem",
        "modelkeep verify model.keep --unsafe-unsigned --second-trust second.pub",
        "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem --second-signer tpm2:key -o two.keep",
        "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem --second-signer publisher.pem -o two.keep",
        "modelkeep run model.keep -k file:pi-17.pem -t publisher.pub --second-trust publisher.pub -i x=x.npy",
    ],
)
def test_the_command_line_refuses_what_makes_no_sense(shop: CommandLine, line: str) -> None:
    assert shop.shell(line).code == 2
