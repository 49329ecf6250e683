"""From opened to verified to unlocked: each step refuses what the one before could not see."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from modelkeep.bundle import access as access_module
from modelkeep.bundle.access import Access, unlock, unlock_bundle
from modelkeep.bundle.bundle import Bundle
from modelkeep.container import names
from modelkeep.errors import (
    MalformedError,
    RefusedError,
    RollbackError,
    SignatureError,
    TamperedError,
    UnsupportedVersionError,
)
from modelkeep.inner_manifest import LARGEST_INNER_MANIFEST
from modelkeep.keys.identity import Identity
from modelkeep.manifest import Coverage, LeafAlgorithm, Manifest, Member, Suite
from modelkeep.payload.layout import SEGMENT, sealed_size, segment_count
from modelkeep.trust import oms
from modelkeep.trust.statement import Statement
from modelkeep.trust.unsigned import UnsafeUnsigned
from support.forgery import sign_again, sign_manifest, unpack
from support.workshop import Workshop

BIG = 2 * SEGMENT + 1000


@pytest.fixture
def folder(workshop: Workshop) -> Path:
    """A bundle of one file with three segments, unpacked."""
    (workshop.folder / "weights.bin").write_bytes(os.urandom(BIG))
    return unpack(workshop.seal(workshop.folder / "weights.bin"), workshop.folder / "unpacked")


def rewritten(change: Callable[[bytes], bytes], name: str = "payload/1") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def flipped(position: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[position] ^= 1
        return bytes(changed)

    return change


def swapped(data: bytes) -> bytes:
    return data[SEGMENT : 2 * SEGMENT] + data[:SEGMENT] + data[2 * SEGMENT :]


def exchanged(folder: Path) -> None:
    """Puts the second file's stream in the place of the first, and the other way round."""
    first, second = (folder / "payload/1").read_bytes(), (folder / "payload/2").read_bytes()
    (folder / "payload/1").write_bytes(second)
    (folder / "payload/2").write_bytes(first)


SAME_LENGTH: dict[str, Callable[[Path], object]] = {
    "header length": rewritten(flipped(0)),
    "salt": rewritten(flipped(8)),
    "prefix": rewritten(flipped(35)),
    "segment 0": rewritten(flipped(1000)),
    "segment 1": rewritten(flipped(SEGMENT + 5)),
    "last tag": rewritten(flipped(-1)),
    "swapped segments": rewritten(swapped),
    "inner manifest": rewritten(flipped(60), "payload/0"),
}
OTHER_LENGTH: dict[str, Callable[[Path], object]] = {
    "one byte less": rewritten(lambda data: data[:-1]),
    "one segment less": rewritten(lambda data: data[: 2 * SEGMENT]),
    "one byte more": rewritten(lambda data: data + b"\0"),
    "one segment more": rewritten(lambda data: data + bytes(SEGMENT)),
    "nothing": rewritten(lambda data: b""),
    "leaves shorter": rewritten(lambda data: data[:-32], "leaves/1"),
}


@pytest.mark.parametrize("change", SAME_LENGTH)
def test_changed_payload_is_found_by_check_and_by_decryption(
    workshop: Workshop, folder: Path, change: str
) -> None:
    SAME_LENGTH[change](folder)
    with Bundle(folder) as bundle, pytest.raises(TamperedError, match="not the one that was signed"):
        bundle.verify(workshop.verifier()).check_digests()
    with pytest.raises(TamperedError, match="not the one that was signed"):
        workshop.read(folder)


@pytest.mark.parametrize("change", OTHER_LENGTH)
def test_payload_of_another_length_is_refused(workshop: Workshop, folder: Path, change: str) -> None:
    OTHER_LENGTH[change](folder)
    with Bundle(folder) as bundle, pytest.raises(TamperedError, match="not those that its manifest lists"):
        bundle.verify(workshop.verifier())


@pytest.mark.parametrize("change", SAME_LENGTH)
def test_changed_payload_does_not_decrypt_even_when_it_is_signed(
    workshop: Workshop, folder: Path, change: str
) -> None:
    SAME_LENGTH[change](folder)
    sign_again(folder, workshop.signer)
    with Bundle(folder) as bundle:
        bundle.verify(workshop.verifier()).check_digests()
    with pytest.raises(TamperedError):
        workshop.read(folder)


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 56, BIG - 1, BIG + 1])
def test_payload_of_another_size_does_not_decrypt_even_when_it_is_signed(
    workshop: Workshop, folder: Path, size: int
) -> None:
    os.truncate(folder / "payload/1", sealed_size(size))
    sign_manifest(
        folder,
        workshop.signer,
        lambda old: replace(old, members=(old.members[0], old.members[1]._replace(size=size))),
    )
    sign_again(folder, workshop.signer)
    with pytest.raises(TamperedError, match="does not decrypt"):
        workshop.read(folder)


def test_streams_do_not_decrypt_in_each_others_place(workshop: Workshop) -> None:
    model = workshop.folder / "model"
    model.mkdir()
    (model / "a").write_bytes(b"a" * 100)
    (model / "b").write_bytes(b"b" * 100)
    folder = unpack(workshop.seal(model), workshop.folder / "unpacked")
    exchanged(folder)
    sign_again(folder, workshop.signer)
    with pytest.raises(TamperedError, match="does not decrypt"):
        workshop.read(folder)


def test_another_data_key_than_the_committed_one_is_refused(workshop: Workshop, folder: Path) -> None:
    sign_manifest(folder, workshop.signer, lambda old: replace(old, commitment=bytes(32)))
    with pytest.raises(TamperedError, match="another data key"):
        workshop.read(folder)


def test_a_statement_that_lists_other_files_is_refused(workshop: Workshop, folder: Path) -> None:
    manifest = (folder / names.MANIFEST).read_bytes()
    resources = {names.MANIFEST: hashlib.sha256(manifest).digest()}
    for extra in ({}, {"payload/0": bytes(32)}):
        document = oms.sign(Statement("acme/detector", resources | extra), workshop.signer)
        (folder / names.SIGNATURE).write_bytes(document)
        with Bundle(folder) as bundle, pytest.raises(SignatureError, match="covers other files"):
            bundle.verify(workshop.verifier())


def test_a_changed_manifest_is_refused(workshop: Workshop, folder: Path) -> None:
    rewritten(lambda data: data.replace(b'"epoch":1', b'"epoch":2'), names.MANIFEST)(folder)
    with Bundle(folder) as bundle, pytest.raises(TamperedError, match=r"manifest\.json"):
        bundle.verify(workshop.verifier())


def test_an_identity_is_closed_by_whoever_made_it(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Identity] = []

    def close(identity: Identity) -> None:
        closed.append(identity)

    monkeypatch.setattr(Identity, "close", close)
    with Access(workshop.identity(), workshop.verifier()):
        pass
    assert not closed
    with Access(f"file:{workshop.device}", workshop.verifier()) as access:
        pass
    assert closed == [access.identity]


def test_an_unsigned_bundle_is_refused(workshop: Workshop) -> None:
    bundle = workshop.seal(signer=None, unsafe_unsigned=True)
    with Bundle(bundle) as opened, pytest.raises(SignatureError, match="not signed"):
        opened.verify(workshop.verifier())
    assert workshop.read(bundle, verifier=UnsafeUnsigned())


def test_leaves_that_contradict_the_statement_are_refused(workshop: Workshop, folder: Path) -> None:
    (folder / "leaves/1").write_bytes(bytes(32 * segment_count(BIG)))
    digest = LeafAlgorithm.BLAKE3.digest((folder / "leaves/1").read_bytes())
    old = Manifest.from_bytes((folder / names.MANIFEST).read_bytes())
    files = {
        name: hashlib.sha256((folder / name).read_bytes()).digest()
        for name in names.signed_files(2)
        if name != "leaves/1"
    }
    manifest = replace(old, members=(old.members[0], Member(BIG, digest))).to_bytes()
    (folder / names.MANIFEST).write_bytes(manifest)
    resources = files | {names.MANIFEST: hashlib.sha256(manifest).digest(), "leaves/1": bytes(32)}
    (folder / names.SIGNATURE).write_bytes(oms.sign(Statement("acme/detector", resources), workshop.signer))
    with Bundle(folder) as bundle, pytest.raises(TamperedError, match="leaves/1"):
        bundle.verify(workshop.verifier()).check_digests()


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("leaf", LeafAlgorithm)
@pytest.mark.parametrize("digest", Coverage)
def test_every_kind_of_bundle_opens(
    workshop: Workshop, suite: Suite, leaf: LeafAlgorithm, digest: Coverage
) -> None:
    content = os.urandom(SEGMENT + 5)
    (workshop.folder / "weights.bin").write_bytes(content)
    path = workshop.seal(workshop.folder / "weights.bin", suite=suite, leaf=leaf, digest=digest)
    with Bundle(path) as bundle:
        seen: list[int] = []
        bundle.verify(workshop.verifier()).check_digests(seen.append)
        assert sum(seen) == sum(member.size for member in bundle.unverified_manifest().members)
    assert workshop.read(path) == {"weights.bin": content}


def test_embedded_grants_are_read_in_order(workshop: Workshop) -> None:
    others = [workshop.new_device(name).with_suffix(".pub") for name in ("a", "b")]
    with Bundle(workshop.seal(to=[workshop.device.with_suffix(".pub"), *others])) as bundle:
        assert len(list(bundle.embedded_grants())) == 3


def test_what_is_not_a_grant_is_malformed(workshop: Workshop, folder: Path) -> None:
    (folder / "grants/0").write_bytes(b"{}")
    with pytest.raises(MalformedError, match="grant"):
        workshop.read(folder)


def test_a_newer_manifest_is_told_apart(workshop: Workshop, folder: Path) -> None:
    rewritten(lambda data: data.replace(b'"version":1', b'"version":2'), names.MANIFEST)(folder)
    with Bundle(folder) as bundle, pytest.raises(UnsupportedVersionError):
        bundle.unverified_manifest()


def test_an_inner_manifest_beyond_its_limit_is_not_even_decrypted(workshop: Workshop, folder: Path) -> None:
    size = LARGEST_INNER_MANIFEST + 1
    os.truncate(folder / "payload/0", sealed_size(size))
    sign_manifest(
        folder,
        workshop.signer,
        lambda old: replace(old, members=(old.members[0]._replace(size=size), old.members[1])),
    )
    sign_again(folder, workshop.signer)
    with pytest.raises(MalformedError, match="16 MiB"):
        workshop.read(folder)


def test_a_file_that_the_inner_manifest_does_not_name_is_refused(workshop: Workshop, folder: Path) -> None:
    (folder / "payload/2").write_bytes((folder / "payload/1").read_bytes())
    (folder / "leaves/2").write_bytes((folder / "leaves/1").read_bytes())
    sign_manifest(folder, workshop.signer, lambda old: replace(old, members=(*old.members, old.members[1])))
    sign_again(folder, workshop.signer)
    with pytest.raises(MalformedError, match="does not name every file"):
        workshop.read(folder)


def test_closing_wipes_the_keys(workshop: Workshop) -> None:
    with unlock_bundle(workshop.seal(), Access(workshop.identity(), workshop.verifier())) as opened:
        key = opened.grant.data_key.view
        assert any(key)
        opened.close()
        assert not any(key)
    opened.close()


def test_a_bundle_is_refused_where_installations_are_asked_for(workshop: Workshop) -> None:
    with workshop.identity() as identity:
        access = Access(identity, workshop.verifier(require_installed=True))
        with pytest.raises(RefusedError), unlock(workshop.seal(), access):
            raise AssertionError


@pytest.mark.parametrize(("changed", "looks"), [(True, 2), (False, 1)])
def test_an_installation_that_was_replaced_while_looking_is_looked_at_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, changed: bool, looks: int
) -> None:
    calls, identities = [], iter(range(9))

    def overtaken(*_arguments: object) -> object:
        calls.append(1)
        raise RollbackError("something newer counts")

    monkeypatch.setattr(access_module, "_unlock_at", overtaken)
    monkeypatch.setattr(access_module, "_identity_of", lambda _path: next(identities) if changed else 0)
    with workshop.identity() as identity, ExitStack() as stack, pytest.raises(RollbackError):
        access_module._unlock_installation(Path("x"), Access(identity, workshop.verifier()), stack)
    assert len(calls) == looks
