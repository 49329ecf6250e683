"""Somebody who changes a model that another publisher signed as a folder, on its way to whoever seals it."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelkeep.errors import SignatureError, TamperedError, UntrustedSignerError
from modelkeep.folder_signature import verify_folder
from modelkeep.trust import oms
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.statement import Statement
from modelkeep.trust.verifier import Verifier

FILES = {"config.json": b"{}", "weights/1.bin": b"one", "weights/2.bin": b"two"}


class Upstream:
    """A folder, its publisher, and the signature over it."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "model"
        for name, content in FILES.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)
        self.signature = place / "model.sig"
        self.public = create_signing_key(place / "publisher.pem")
        self._signer = Signer.from_pem(place / "publisher.pem")
        self.sign()

    def sign(self, ignore: tuple[str, ...] = ()) -> None:
        """Signs the files of above, whatever is in the folder."""
        import hashlib

        digests = {name: hashlib.sha256(content).digest() for name, content in FILES.items()}
        self.signature.write_bytes(oms.sign(Statement("model", digests, ignore), self._signer))

    def check(self) -> tuple[str, ...]:
        """Verifies; returns what nobody vouches for."""
        verifier = Verifier(self.public, model=UnsafeAnyModel())
        return verify_folder(self.folder, self.signature, verifier).ignored


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    """A model of somebody else's."""
    return Upstream(tmp_path)


def test_a_file_that_was_changed_removed_or_added_is_found(upstream: Upstream) -> None:
    assert upstream.check() == ()
    weights = upstream.folder / "weights/1.bin"
    weights.write_bytes(b"onE")
    with pytest.raises(TamperedError, match="not the file"):
        upstream.check()
    weights.unlink()
    with pytest.raises(TamperedError, match="missing"):
        upstream.check()
    weights.write_bytes(b"one")
    (upstream.folder / "weights/3.bin").write_bytes(b"three")
    with pytest.raises(TamperedError, match="not among"):
        upstream.check()


def test_a_link_in_the_place_of_a_file_is_found(upstream: Upstream, tmp_path: Path) -> None:
    weights = upstream.folder / "weights/1.bin"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TamperedError, match="is a link"):
        upstream.check()


def test_a_second_signature_document_in_the_folder_is_a_file_like_others(upstream: Upstream) -> None:
    (upstream.folder / "model.sig").write_bytes(upstream.signature.read_bytes())
    with pytest.raises(TamperedError, match="not among"):
        upstream.check()


def test_files_that_a_signer_left_out_are_named(upstream: Upstream) -> None:
    upstream.sign(ignore=(".git",))
    (upstream.folder / ".git").mkdir()
    (upstream.folder / ".git/hook").write_bytes(b"planted")
    (upstream.folder / ".github").write_bytes(b"planted")
    with pytest.raises(TamperedError, match=".github"):
        upstream.check()
    (upstream.folder / ".github").unlink()
    assert upstream.check() == (".git/hook",)


def test_the_signature_of_another_folder_or_signer_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Upstream(tmp_path / "other")
    upstream.signature.write_bytes(other.signature.read_bytes())
    with pytest.raises(UntrustedSignerError):
        upstream.check()
    upstream.sign()
    good = upstream.signature.read_bytes()
    upstream.signature.write_bytes(good.replace(b'"sig":"M', b'"sig":"N'))
    with pytest.raises(SignatureError):
        upstream.check()
