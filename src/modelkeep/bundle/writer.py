"""Writing a bundle in one pass: payload at its final place first, the front last.

The size of everything in front of the payload is known beforehand: digests have fixed
lengths, and the signature is padded with spaces to the longest it can be.
Source: spec/bundle-v1.md, "Container".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelkeep.container import names
from modelkeep.container.slots import Slot, lay_out, write_frame
from modelkeep.dsse import EcdsaSigner
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.grant import Grant
from modelkeep.grants.recipient import Recipient, issue
from modelkeep.inner_manifest import InnerManifest, ModelFile
from modelkeep.manifest import Coverage, Manifest, Member
from modelkeep.memory.randomness import random_bytes
from modelkeep.payload import stream
from modelkeep.payload.cipher import StreamCipher, associated_data, new_header
from modelkeep.payload.layout import sealed_size, segment_count
from modelkeep.payload.segments import LEAF, Extent
from modelkeep.payload.source import MemorySource, Source
from modelkeep.payload.stream import Progress, StreamDigests
from modelkeep.storage import Replacement, words_for, write_at
from modelkeep.trust import oms, second_signature
from modelkeep.trust.second_signature import SecondSigner
from modelkeep.trust.signer import BundleSigner
from modelkeep.trust.statement import Statement
from modelkeep.trust.timestamps import Stamp

_NO_DIGEST = bytes(32)
# What `model_signing` must not look at in an unpacked bundle; our own reader never asks.
_UNSIGNED_FILES = (names.SIGNATURE, names.SIGNATURES, names.GRANTS)


@dataclass(frozen=True, slots=True)
class Grantee:
    """Somebody a bundle is sealed to, and under which constraints."""

    recipient: Recipient
    constraints: Constraints


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a bundle except chance.

    Attributes:
        manifest: the manifest, with bundle id, commitment and members still to be filled in.
        inner: the inner manifest, with digests still to be filled in.
        sources: the content of `inner.files`, in their order.
        grantees: who gets an embedded grant.
        signer: who signs, or None for an unsigned bundle.
        grant_signer: who signs the embedded grants, where the manifest lists grant issuers.
        second_signer: who signs the statement as well, or None.
        stamp: gets a timestamp for a signature, or None.
    """

    manifest: Manifest
    inner: InnerManifest
    sources: Sequence[Source]
    grantees: Sequence[Grantee]
    signer: BundleSigner | None
    grant_signer: EcdsaSigner | None = None
    second_signer: SecondSigner | None = None
    stamp: Stamp | None = None


def write_bundle(recipe: Recipe, target: Path, *, force: bool, progress: Progress) -> None:
    """Seals `recipe` into the file `target`, which appears complete or not at all.

    Raises:
        StorageError: something cannot be read or written.
        UsageError: `target` exists and `force` is not set.
    """
    with DataKey.generate() as data_key, Replacement(target, force=force) as file:
        with words_for(target):
            _Writing(recipe, data_key, file.descriptor, progress).run()
        file.commit()


class _Writing:
    def __init__(self, recipe: Recipe, data_key: DataKey, descriptor: int, progress: Progress) -> None:
        self._recipe = recipe
        self._descriptor = descriptor
        self._progress = progress
        sizes = [len(recipe.inner.to_bytes()), *(source.size for source in recipe.sources)]
        named = replace(recipe.manifest, bundle=random_bytes(16))
        self._manifest = replace(
            named,
            commitment=data_key.commitment(named.binding),
            members=tuple(Member(size, _NO_DIGEST) for size in sizes),
        )
        self._data_key = data_key
        self._grants = [self._grant(grantee).to_bytes() for grantee in recipe.grantees]
        self._slots = lay_out(self._sizes())

    def run(self) -> None:
        write_frame(self._descriptor, self._slots)
        digests = self._encrypt_all()
        leaves = [digest.leaves for digest in digests]
        manifest = self._finished_manifest(leaves).to_bytes()
        for index, content in enumerate(leaves):
            self._write(names.leaves(index), content)
        self._write(names.MANIFEST, manifest)
        self._write_signatures(self._statement(manifest, digests))
        for index, grant in enumerate(self._grants):
            self._write(names.grant(index), grant)

    def _grant(self, grantee: Grantee) -> Grant:
        grant = issue(grantee.recipient, self._manifest.bundle, self._data_key, grantee.constraints)
        signer = self._recipe.grant_signer
        return grant if signer is None else grant.signed_by(signer)

    def _sizes(self) -> dict[str, int]:
        members = self._manifest.members
        sizes = {names.MANIFEST: len(self._manifest.to_bytes())}
        if self._recipe.signer is not None:
            draft = self._statement_over(dict.fromkeys(self._covered(), _NO_DIGEST))
            sizes[names.SIGNATURE] = oms.signature_size(
                draft, self._recipe.signer, stamped=self._recipe.stamp is not None
            )
        if self._recipe.second_signer is not None:
            sizes[names.SECOND_SIGNATURE] = second_signature.document_size(self._recipe.second_signer)
        sizes |= {names.grant(i): len(grant) for i, grant in enumerate(self._grants)}
        sizes |= {names.leaves(i): LEAF * segment_count(m.size) for i, m in enumerate(members)}
        return sizes | {names.payload(i): sealed_size(m.size) for i, m in enumerate(members)}

    def _encrypt_all(self) -> list[StreamDigests]:
        sources = enumerate(self._recipe.sources, start=1)
        files = [self._encrypt(index, source) for index, source in sources]
        inner = self._finished_inner([digests.plaintext for digests in files]).to_bytes()
        return [self._encrypt(0, MemorySource(memoryview(inner))), *files]

    def _encrypt(self, index: int, source: Source) -> StreamDigests:
        manifest = self._manifest
        extent = Extent(self._descriptor, self._slot(names.payload(index)).data_offset, source.size)
        associated = associated_data(manifest.suite, manifest.bundle, index)
        with self._data_key.payload_key() as key:
            cipher = StreamCipher(manifest.suite, key.view, associated, new_header())
        return stream.encrypt(
            source,
            extent,
            cipher,
            manifest.leaf_algorithm,
            whole_sha256=manifest.coverage is Coverage.FILES and self._recipe.signer is not None,
            progress=self._progress,
        )

    def _finished_inner(self, digests: list[bytes]) -> InnerManifest:
        files = zip(self._recipe.inner.files, digests, strict=True)
        return self._recipe.inner._replace(
            files=tuple(ModelFile(file.path, digest) for file, digest in files)
        )

    def _finished_manifest(self, leaves: list[bytes]) -> Manifest:
        digest = self._manifest.leaf_algorithm.digest
        pairs = zip(self._manifest.members, leaves, strict=True)
        members = tuple(Member(member.size, digest(content)) for member, content in pairs)
        return replace(self._manifest, members=members)

    def _statement(self, manifest: bytes, digests: list[StreamDigests]) -> Statement:
        resources = {names.MANIFEST: hashlib.sha256(manifest).digest()}
        if self._manifest.coverage is Coverage.FILES:
            for index, digest in enumerate(digests):
                resources[names.leaves(index)] = hashlib.sha256(digest.leaves).digest()
                resources[names.payload(index)] = digest.sha256 or _NO_DIGEST
        return self._statement_over(resources)

    def _statement_over(self, resources: dict[str, bytes]) -> Statement:
        ignored: tuple[str, ...] = _UNSIGNED_FILES
        if self._manifest.coverage is Coverage.LEAVES:
            ignored = (*ignored, names.LEAVES, names.PAYLOAD)
        return Statement(self._manifest.model, resources, ignored)

    def _covered(self) -> list[str]:
        if self._manifest.coverage is Coverage.LEAVES:
            return [names.MANIFEST]
        return names.signed_files(len(self._manifest.members))

    def _write_signatures(self, statement: Statement) -> None:
        if self._recipe.signer is None:
            return
        size = self._slot(names.SIGNATURE).size
        document = oms.sign(statement, self._recipe.signer, self._recipe.stamp)
        self._write(names.SIGNATURE, oms.pad(document, size))
        if self._recipe.second_signer is not None:
            document = second_signature.sign(statement, self._recipe.second_signer)
            self._write(names.SECOND_SIGNATURE, document)

    def _write(self, name: str, content: bytes) -> None:
        write_at(self._descriptor, memoryview(content), self._slot(name).data_offset)

    def _slot(self, name: str) -> Slot:
        return self._slots[name]
