"""modelkeep itself: everything a caller waits for, from opening the bundle to the last check."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benches.cipher import FileCipher, Opening, Sealing
from benches.peer import command, program_of_this_python, refuses_a_changed, same_content
from modelkeep.bundle.access import Access, unlock
from modelkeep.bundle.bundle import Bundle
from modelkeep.grants.recipient_text import format_recipient
from modelkeep.keys.file import FileStore
from modelkeep.keys.identity import Identity
from modelkeep.manifest import Coverage, LeafAlgorithm
from modelkeep.memory import Pages
from modelkeep.sealing import seal
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install

MODEL_ID = "bench/model"


class Keeper(FileCipher):
    """Keys, and how to seal with this class's choices."""

    leaf: ClassVar[LeafAlgorithm] = LeafAlgorithm.BLAKE3
    coverage: ClassVar[Coverage] = Coverage.FILES

    @property
    def publisher(self) -> Path:
        """Where the publisher's public key is."""
        return self.folder / "publisher.pub"

    def make_keys(self) -> None:
        self.publisher.write_bytes(create_signing_key(self.folder / "publisher.pem"))
        recipient = FileStore().create(str(self.folder / "device.pem"))
        (self.folder / "device.pub").write_text(format_recipient(recipient) + "\n")

    def seal(self, target: Path) -> None:
        draft = seal(
            self.source,
            model=MODEL_ID,
            to=[self.folder / "device.pub"],
            signer=Signer.from_pem(self.folder / "publisher.pem"),
            leaf=self.leaf,
            digest=self.coverage,
        )
        draft.save(target)

    def open(self, sealed: Path) -> Pages:
        identity = Identity(f"file:{self.folder / 'device.pem'}")
        with unlock(sealed, Access(identity, self.verifier())) as opened:
            opened.inner_manifest()
            pages = Pages.allocate(opened.manifest.members[1].size)
            opened.decrypt(1, pages.view)
        return pages

    def verifier(self) -> Verifier:
        """Returns a verifier that trusts the publisher."""
        return Verifier(self.publisher, model=MODEL_ID)


class Open(Opening, Keeper):
    """Bundle -> memory, with BLAKE3 leaves."""

    def check(self) -> None:
        same_content(self.plaintext.view, self.source)


class OpenSha256(Open):
    """The same with SHA-256 leaves."""

    leaf = LeafAlgorithm.SHA256


class OpenInstalled(Open):
    """Installation -> memory: signature, key and tags, but no digests; those were checked on installing."""

    def prepare(self) -> list[Path]:
        super().prepare()
        bundle = self.sealed.rename(self.folder / "model.keep")
        identity = Identity(f"file:{self.folder / 'device.pem'}")
        install(bundle, self.sealed, identity=identity, verifier=self.verifier())
        return [self.sealed]


class Seal(Sealing, Keeper):
    """File -> signed bundle, with BLAKE3 leaves and the SHA-256 digests that `model_signing` needs."""

    def check(self) -> None:
        with self.open(self.output) as pages:
            same_content(pages.view, self.source)


class SealLeaves(Seal):
    """Without the SHA-256 digests of whole files."""

    coverage = Coverage.LEAVES


class Verify(Opening, Keeper):
    """Signature and every byte of the payload, leaves and whole files."""

    def run(self) -> None:
        with Bundle(self.sealed) as bundle:
            bundle.verify(self.verifier()).check_digests()

    def check(self) -> None:
        refuses_a_changed(self.sealed, self.run)


class VerifyLeaves(Verify):
    """BLAKE3 leaves alone."""

    coverage = Coverage.LEAVES


class VerifySha256Leaves(Verify):
    """SHA-256 leaves alone."""

    coverage = Coverage.LEAVES
    leaf = LeafAlgorithm.SHA256


class VerifyCommand(Verify):
    """The default bundle through the command line, start-up included."""

    def run(self) -> None:
        command(program_of_this_python("modelkeep"), "verify", self.sealed, "-t", self.publisher)
