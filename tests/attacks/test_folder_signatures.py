"""Somebody who changes a model that another publisher signed as a folder, on its way to whoever seals it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from modelkeep.bundle.bundle import Bundle
from modelkeep.errors import SignatureError, TamperedError, UntrustedSignerError
from modelkeep.folder_signature import SignedFolder, verify_folder
from modelkeep.payload.layout import plain_range
from modelkeep.payload.source import MemorySource
from modelkeep.payload.vouched_source import VouchedSource
from modelkeep.sealing import seal
from modelkeep.trust import oms
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.statement import Statement
from modelkeep.trust.verifier import Verifier
from support.command_line import CommandLine
from support.workshop import Workshop

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


def signed_model(workshop: Workshop) -> tuple[Path, SignedFolder]:
    """Returns a model of several segments, and what its publisher's signature says of it."""
    model = workshop.model(size=600_000)
    public = create_signing_key(workshop.folder / "upstream.pem")
    (workshop.folder / "upstream.pub").write_bytes(public)
    digests = {".": hashlib.sha256(model.read_bytes()).digest()}
    signature = workshop.folder / "model.sig"
    signer = Signer.from_pem(workshop.folder / "upstream.pem")
    signature.write_bytes(oms.sign(Statement("model", digests), signer))
    return model, verify_folder(model, signature, Verifier(public, model=UnsafeAnyModel()))


def test_a_model_that_changes_between_its_check_and_its_sealing_is_not_sealed(workshop: Workshop) -> None:
    model, signed = signed_model(workshop)
    workshop.seal(model, name="fine.keep", upstream=signed)
    content, status = bytearray(model.read_bytes()), model.stat()
    content[-100_000] ^= 1
    model.write_bytes(content)
    os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(TamperedError, match="not the file that was signed"):
        workshop.seal(model, name="changed.keep", upstream=signed)
    assert not (workshop.folder / "changed.keep").exists()


def test_a_model_that_changes_while_it_is_sealed_is_not_sealed() -> None:
    content = bytearray(b"weights " * 400_000)
    source = VouchedSource(MemorySource(memoryview(content)), "m", hashlib.sha256(content).digest())
    with source.open() as opened:
        anywhere = bytearray(2_000_000)
        opened.read_into(memoryview(anywhere), 123_457)
        assert anywhere == content[123_457:2_123_457]
        for index in (0, 2):
            start, end = plain_range(index, source.size)
            opened.read_into(memoryview(bytearray(end - start)), start)
        content[start + 5] ^= 1
        for length in (end - start, 1000):
            with pytest.raises(TamperedError, match="m is not the file"):
                opened.read_into(memoryview(bytearray(length)), start)


def test_files_that_nobody_signed_are_not_sealed_and_the_bundle_tells_who_did(workshop: Workshop) -> None:
    model, signed = signed_model(workshop)
    other = workshop.folder / "folder"
    other.mkdir()
    (other / "more.onnx").write_bytes(model.read_bytes())
    (other / "readme.txt").write_bytes(b"unsigned")
    with pytest.raises(TamperedError, match="not among the files that were signed"):
        workshop.seal(other, name="more.keep", upstream=signed, format="files")
    (other / "readme.txt").unlink()
    digests = {"more.onnx": signed.digests["."]}
    signer = Signer.from_pem(workshop.folder / "upstream.pem")
    (other / "model.sig").write_bytes(oms.sign(Statement("model", digests), signer))
    verifier = Verifier((workshop.folder / "upstream.pub").read_bytes(), model=UnsafeAnyModel())
    whole = verify_folder(other, other / "model.sig", verifier)
    draft = seal(
        other, model="acme/m", to=[workshop.device.with_suffix(".pub")], signer=signer, upstream=whole
    )
    assert list(draft.model.sources) == ["more.onnx"]
    with Bundle(workshop.seal(model, name="m.keep", upstream=signed)) as bundle:
        assert bundle.verify(workshop.verifier()).manifest.upstream == signed.signer


def test_the_command_line_seals_what_is_signed_alone(shop: CommandLine) -> None:
    digests = {".": hashlib.sha256(Path("model.onnx").read_bytes()).digest()}
    Path("model.sig").write_bytes(oms.sign(Statement("model", digests), Signer.from_pem("stranger.pem")))
    line = "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem --json --require-signature model.sig"
    told = shop.ok(f"{line} --upstream stranger.pub -o m.keep").json["upstream"]
    assert told == shop.ok("modelkeep inspect m.keep --json").json["upstream"]
    assert told is not None
    for name, options in {"another": "--upstream publisher.pub", "nobody": ""}.items():
        assert shop.shell(f"{line} {options} -o {name}.keep").code != 0
        assert not Path(f"{name}.keep").exists()
    without = "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem --upstream stranger.pub"
    assert shop.shell(without).code != 0
