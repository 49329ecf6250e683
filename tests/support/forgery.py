"""What somebody with the publisher's key could do: change a bundle and make every digest fit again."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from modelkeep.container import names
from modelkeep.manifest import Manifest, Member
from modelkeep.payload.layout import SEGMENT
from modelkeep.trust import oms
from modelkeep.trust.signer import Signer
from modelkeep.trust.statement import Statement


def unpack(bundle: Path, folder: Path) -> Path:
    """Unpacks a bundle into its folder form; returns the folder."""
    with tarfile.open(bundle) as archive:
        # Set this way, Python before 3.11.4 ignores it.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    return folder


def sign_again(folder: Path, signer: Signer) -> None:
    """Makes leaves, manifest and signature of a bundle's folder form fit its payload."""
    manifest = Manifest.from_bytes((folder / names.MANIFEST).read_bytes())
    members = []
    for index, member in enumerate(manifest.members):
        stream = (folder / names.payload(index)).read_bytes()
        digest = manifest.leaf_algorithm.digest
        pieces = (stream[start : start + SEGMENT] for start in range(0, len(stream), SEGMENT))
        leaves = b"".join(digest(piece) for piece in pieces)
        (folder / names.leaves(index)).write_bytes(leaves)
        members.append(Member(member.size, digest(leaves)))
    sign_manifest(folder, signer, lambda old: replace(old, members=tuple(members)))


def sign_manifest(folder: Path, signer: Signer, change: Callable[[Manifest], Manifest]) -> None:
    """Changes the manifest and signs what is there now."""
    manifest = change(Manifest.from_bytes((folder / names.MANIFEST).read_bytes()))
    (folder / names.MANIFEST).write_bytes(manifest.to_bytes())
    files = names.signed_files(len(manifest.members))
    resources = {name: hashlib.sha256((folder / name).read_bytes()).digest() for name in files}
    document = oms.sign(Statement(manifest.model, resources), signer)
    (folder / names.SIGNATURE).write_bytes(document)
