"""Somebody who can write a read-only partition: another image, another tree, another signature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modelkeep import dsse
from modelkeep.errors import SignatureError, TamperedError
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.verity.signed_statement import SignedStatement
from modelkeep.verity.signing import check_file, sign_file, statement_path, tree_path

BLOCK = 4096


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image that the publisher signed."""
    for name in ("publisher", "attacker"):
        (tmp_path / f"{name}.pub").write_bytes(create_signing_key(tmp_path / f"{name}.pem"))
    path = tmp_path / "models.img"
    path.write_bytes(b"model..." * (BLOCK * 4 // 8))
    sign_file(path, Signer.from_pem(tmp_path / "publisher.pem"))
    return path


def check(image: Path) -> None:
    check_file(image, [image.parent / "publisher.pub"])


def test_a_block_that_was_exchanged_is_found(image: Path) -> None:
    check(image)
    data = bytearray(image.read_bytes())
    data[3 * BLOCK] ^= 1
    image.write_bytes(data)
    with pytest.raises(TamperedError):
        check(image)


def test_a_tree_that_makes_a_bad_block_good_is_found(image: Path) -> None:
    # The kernel would take block and tree together; the signed root hash does not.
    good = tree_path(image).read_bytes()
    data = bytearray(image.read_bytes())
    data[0] ^= 1
    other = image.with_name("other.img")
    other.write_bytes(data)
    statement = sign_file(other, Signer.from_pem(image.parent / "attacker.pem"))
    assert statement.image is not None
    tree_path(image).write_bytes(tree_path(other).read_bytes())
    with pytest.raises(TamperedError):
        check(image)
    tree_path(image).write_bytes(good)
    check(image)


def test_an_image_that_somebody_else_signed_is_refused(image: Path) -> None:
    sign_file(image, Signer.from_pem(image.parent / "attacker.pem"), force=True)
    with pytest.raises(SignatureError):
        check(image)


def test_another_document_of_the_publisher_is_no_statement_about_a_file(image: Path) -> None:
    signed = SignedStatement.from_bytes(statement_path(image).read_bytes())
    publisher = Signer.from_pem(image.parent / "publisher.pem")
    # A grant's or a bundle's signature over these very bytes would be of another type.
    other = publisher.sign(dsse.pae("application/vnd.in-toto+json", signed.payload))
    statement_path(image).write_bytes(replace(signed, signature=other).to_bytes())
    with pytest.raises(SignatureError, match="does not verify"):
        check(image)
    statement_path(image).write_bytes(signed.to_bytes())
    check(image)
