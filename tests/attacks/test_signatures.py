"""Signatures that are missing, borrowed, made by others or about other things."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from modelkeep import dsse, public_key
from modelkeep.errors import MalformedError, SignatureError, TamperedError, UntrustedSignerError, UsageError
from modelkeep.grants import grant as grants
from modelkeep.grants.grant import Grant
from modelkeep.manifest import Coverage
from modelkeep.trust import oms, plain
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.statement import Statement
from support.attacker import Forgery
from support.workshop import Workshop


@pytest.fixture
def attacker(workshop: Workshop) -> Signer:
    path = workshop.folder / "attacker.pem"
    create_signing_key(path)
    return Signer.from_pem(path)


def _open(workshop: Workshop, forgery: Forgery) -> None:
    workshop.open(forgery.write(workshop.folder / "forged.keep")).close()


def test_a_stripped_signature_is_missed(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    del forgery.files["model.sig"]
    with pytest.raises(SignatureError, match="not signed"):
        _open(workshop, forgery)


@pytest.mark.parametrize("document", [b"", b"   ", b"{}", b"null", b"\xff" * 40])
def test_an_empty_signature_document_is_refused(workshop: Workshop, document: bytes) -> None:
    forgery = Forgery(workshop.seal())
    forgery.files["model.sig"][:] = document
    with pytest.raises((SignatureError, MalformedError)):
        _open(workshop, forgery)


def test_a_document_without_signatures_is_refused(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    forgery.edit_signature(lambda document: document["dsseEnvelope"].update(signatures=[]))
    with pytest.raises(SignatureError, match="holds no signature"):
        _open(workshop, forgery)


def test_two_signatures_of_which_one_is_good_are_refused(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    forgery.edit_signature(
        lambda document: document["dsseEnvelope"]["signatures"].append({"sig": "AAAA", "keyid": ""})
    )
    with pytest.raises(MalformedError, match="more than 1"):
        _open(workshop, forgery)


def test_a_bundle_signed_with_a_key_of_the_attackers_own_is_refused(
    workshop: Workshop, attacker: Signer
) -> None:
    forgery = Forgery(workshop.seal(workshop.model(666.0)))
    forgery.sign(attacker)
    with pytest.raises(UntrustedSignerError, match="not trusted here"):
        _open(workshop, forgery)


@pytest.mark.parametrize("hint", ["publisher", None])
def test_a_hint_at_the_publishers_key_does_not_help_the_attacker(
    workshop: Workshop, attacker: Signer, hint: str | None
) -> None:
    forgery = Forgery(workshop.seal())
    forgery.sign(attacker)
    lie = hint and public_key.fingerprint(workshop.signer.public_key)
    forgery.edit_signature(lambda document: document["verificationMaterial"].update(publicKey={"hint": lie}))
    with pytest.raises(SignatureError, match="does not verify"):
        _open(workshop, forgery)


def test_a_key_inside_the_document_is_not_believed(workshop: Workshop, attacker: Signer) -> None:
    forgery = Forgery(workshop.seal())
    forgery.sign(attacker)
    key = base64.b64encode(public_key.to_der(attacker.public_key)).decode()
    material = {"publicKey": {"rawBytes": key, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}}
    forgery.edit_signature(lambda document: document.update(verificationMaterial=material))
    with pytest.raises(SignatureError, match="does not verify"):
        _open(workshop, forgery)


@pytest.mark.parametrize(
    "signature", [bytes(8), bytes.fromhex("3006020100020100"), bytes.fromhex("3006020101020101")]
)
def test_signatures_of_zeros_and_ones_are_refused(workshop: Workshop, signature: bytes) -> None:
    forgery = Forgery(workshop.seal())
    text = base64.b64encode(signature).decode()
    forgery.edit_signature(lambda document: document["dsseEnvelope"]["signatures"][0].update(sig=text))
    with pytest.raises(SignatureError, match="does not verify"):
        _open(workshop, forgery)


def test_the_signature_of_another_bundle_is_refused(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    forgery.files["model.sig"] = Forgery(workshop.seal()).files["model.sig"]
    with pytest.raises(TamperedError, match=r"manifest\.json is not the one that was signed"):
        _open(workshop, forgery)


def _hide_payload(resources: dict[str, bytes]) -> None:
    del resources["payload/1"], resources["leaves/1"]


def _list_manifest_alone(resources: dict[str, bytes]) -> None:
    for name in [name for name in resources if name != "manifest.json"]:
        del resources[name]


def _list_more(resources: dict[str, bytes]) -> None:
    resources["payload/2"] = bytes(32)


def _list_other_names(resources: dict[str, bytes]) -> None:
    resources["./payload/1"] = resources.pop("payload/1")


def _list_grants(resources: dict[str, bytes]) -> None:
    resources["grants/0"] = bytes(32)


@pytest.mark.parametrize(
    "change", [_hide_payload, _list_manifest_alone, _list_more, _list_other_names, _list_grants]
)
def test_a_statement_about_fewer_or_more_files_is_refused(
    workshop: Workshop, change: Callable[[dict[str, bytes]], None]
) -> None:
    forgery = Forgery(workshop.seal())
    resources = forgery.resources()
    change(resources)
    forgery.sign(workshop.signer, resources)
    with pytest.raises(SignatureError, match="covers other files"):
        _open(workshop, forgery)


def test_paths_to_ignore_have_no_say(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    resources = forgery.resources()
    _hide_payload(resources)
    forgery.files["payload/1"][-1] ^= 1
    forgery.sign(workshop.signer, resources, ignore_paths=("payload", "leaves", "payload/1", "*"))
    with pytest.raises(SignatureError, match="covers other files"):
        _open(workshop, forgery)


def test_ignored_but_listed_files_are_checked_all_the_same(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    forgery.sign(workshop.signer, ignore_paths=("payload", "leaves"))
    forgery.files["payload/1"][-1] ^= 1
    with pytest.raises(TamperedError, match="not the one that was signed"):
        _open(workshop, forgery)


def test_a_statement_without_the_manifest_is_refused(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    resources = forgery.resources()
    del resources["manifest.json"]
    forgery.sign(workshop.signer, resources)
    with pytest.raises(TamperedError, match=r"manifest\.json is not the one that was signed"):
        _open(workshop, forgery)


@pytest.mark.parametrize(
    ("sealed", "claimed"), [(Coverage.FILES, Coverage.LEAVES), (Coverage.LEAVES, Coverage.FILES)]
)
def test_one_coverage_under_the_name_of_the_other_is_refused(
    workshop: Workshop, sealed: Coverage, claimed: Coverage
) -> None:
    forgery = Forgery(workshop.seal(digest=sealed))
    forgery.edit_manifest(digest=claimed.value)
    listed = forgery.resources()
    if sealed is Coverage.LEAVES:
        _list_manifest_alone(listed)
    forgery.sign(workshop.signer, listed)
    with pytest.raises(SignatureError, match="covers other files"):
        _open(workshop, forgery)


@pytest.mark.parametrize("coverage", list(Coverage))
@pytest.mark.parametrize("name", ["payload/1", "leaves/1"])
def test_either_coverage_binds_every_byte(workshop: Workshop, coverage: Coverage, name: str) -> None:
    forgery = Forgery(workshop.seal(digest=coverage))
    forgery.files[name][-1] ^= 1
    with pytest.raises(TamperedError, match="not the one that was signed"):
        _open(workshop, forgery)


def _envelope(statement: bytes) -> bytes:
    return dsse.pae(oms.PAYLOAD_TYPE, statement)


@pytest.fixture
def evil_statement(workshop: Workshop) -> tuple[Forgery, bytes]:
    """A bundle of the attacker's own, and the statement that lacks nothing but a signature."""
    forgery = Forgery(workshop.seal(workshop.model(666.0)))
    statement = Statement("acme/detector", forgery.resources()).to_bytes()
    return forgery, statement


def _plant(forgery: Forgery, statement: bytes, signature: bytes) -> None:
    def change(document: dict[str, Any]) -> None:
        envelope = document["dsseEnvelope"]
        envelope["payload"] = base64.b64encode(statement).decode()
        envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()

    forgery.edit_signature(change)


def test_plain_signing_refuses_what_could_be_a_bundle_signature(
    workshop: Workshop, evil_statement: tuple[Forgery, bytes]
) -> None:
    forgery, statement = evil_statement
    lure = workshop.folder / "please-sign.bin"
    lure.write_bytes(_envelope(statement))
    careless = _without_mark(workshop)
    # Signed by any other tool, the very same bytes would make the attacker's bundle genuine.
    key = load_pem_private_key(careless.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    _plant(forgery, statement, key.sign(lure.read_bytes(), ec.ECDSA(hashes.SHA256())))
    _open(workshop, forgery)
    with pytest.raises(UsageError, match="signatures of another kind cover"):
        plain.sign(lure, careless)


def test_a_key_for_bundles_does_not_sign_plain_files(workshop: Workshop) -> None:
    lure = workshop.folder / "harmless.bin"
    lure.write_bytes(b"harmless")
    with pytest.raises(UsageError, match="this key signs bundles"):
        plain.sign(lure, workshop.publisher_pem)


@pytest.mark.parametrize("in_front", [b"", b"\n", b"\0", b" "], ids=["statement", "line", "zero", "space"])
def test_a_plain_signature_does_not_pass_for_a_bundle_signature(
    workshop: Workshop, evil_statement: tuple[Forgery, bytes], in_front: bytes
) -> None:
    forgery, statement = evil_statement
    lure = workshop.folder / "please-sign.bin"
    lure.write_bytes(in_front + _envelope(statement) if in_front else statement)
    _plant(forgery, statement, plain.sign(lure, _without_mark(workshop)))
    with pytest.raises(SignatureError, match="does not verify"):
        _open(workshop, forgery)


def test_a_bundle_signature_does_not_pass_for_a_plain_one(workshop: Workshop) -> None:
    document = oms.parse(bytes(Forgery(workshop.seal()).files["model.sig"]))
    file = workshop.folder / "file.bin"
    file.write_bytes(_envelope(document.payload))
    with pytest.raises(SignatureError, match="signatures of another kind cover"):
        plain.verify(file, document.signature, workshop.publisher_public)


def _without_mark(workshop: Workshop) -> Path:
    """The publisher's key file after somebody took the line with its purpose out."""
    pem = workshop.publisher_pem.read_bytes()
    path = workshop.folder / "unmarked.pem"
    path.touch(mode=0o600)
    path.write_bytes(pem[pem.index(b"-----BEGIN") :])
    return path


def test_a_grant_signature_does_not_pass_for_a_bundle_signature(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal(grant_signer=workshop.signer))
    grant = Grant.from_bytes(bytes(forgery.files["grants/0"]))
    assert grant.signature is not None
    _plant(forgery, grant._signed_bytes(), grant.signature)
    with pytest.raises(SignatureError, match="does not verify"):
        _open(workshop, forgery)


def test_a_statement_signed_as_a_grant_is_no_bundle_signature(
    workshop: Workshop, evil_statement: tuple[Forgery, bytes]
) -> None:
    forgery, statement = evil_statement
    _plant(forgery, statement, workshop.signer.sign(dsse.pae(grants.PAYLOAD_TYPE, statement)))
    with pytest.raises(SignatureError, match="does not verify"):
        _open(workshop, forgery)


def test_a_bundle_signature_does_not_pass_for_a_grant_signature(workshop: Workshop) -> None:
    sealed = workshop.seal(grant_signer=workshop.signer)
    forgery = Forgery(sealed)
    grant = Grant.from_bytes(bytes(forgery.files["grants/0"]))
    signature = workshop.signer.sign(_envelope(grant._signed_bytes()))
    forged = Grant(grant.header, grant.header_bytes, grant.wrapped, grant.issuer, signature)
    forgery.files["grants/0"] = bytearray(forged.to_bytes())
    with pytest.raises(SignatureError, match="does not verify"):
        _open(workshop, forgery)


def test_a_document_of_another_type_is_refused(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    statement = Statement("x", forgery.resources()).to_bytes().replace(b"signature/v1.0", b"signature/v9.0")
    _plant(forgery, statement, workshop.signer.sign(_envelope(statement)))
    with pytest.raises(SignatureError, match="another kind of document"):
        _open(workshop, forgery)


def test_a_statement_whose_digests_do_not_add_up_is_refused(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    statement = Statement("x", forgery.resources()).to_bytes()
    root = hashlib.sha256(
        b"".join(forgery.resources()[name] for name in sorted(forgery.resources()))
    ).hexdigest()
    statement = statement.replace(root.encode(), b"00" * 32)
    _plant(forgery, statement, workshop.signer.sign(_envelope(statement)))
    with pytest.raises(MalformedError, match="root digest"):
        _open(workshop, forgery)
