"""Bundles, leases and slots at their edges: which record counts, and what a signature covers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import modelkeep
from modelkeep.bundle import access, lease, renewal, unlocked
from modelkeep.bundle.access import Access
from modelkeep.bundle.bundle import Bundle
from modelkeep.bundle.install_record import InstallHeader, InstallRecord
from modelkeep.bundle.signed_manifest import SignedManifest
from modelkeep.bundle.slot_folder import SLOTS, SlotFolder
from modelkeep.clock import Now
from modelkeep.container import names
from modelkeep.device.contents import Contents, Installed, Stage
from modelkeep.errors import (
    KeepError,
    MalformedError,
    RefusedError,
    RollbackError,
    SignatureError,
    StorageError,
    TamperedError,
    UnsupportedVersionError,
    UsageError,
)
from modelkeep.grants.constraints import Constraints
from modelkeep.manifest import Coverage, LeafAlgorithm, Suite
from modelkeep.trust import oms
from modelkeep.trust.statement import Statement
from support.descriptors import open_descriptors, settled_descriptors
from support.paper import mark, name
from support.workshop import MODEL_ID, Workshop

HEADER = InstallHeader(
    bytes(16), bytes(32), "m", 1, Suite.AES256_GCM_HKDF_1MB, Constraints(not_after=10), "pi"
)
LEASED: Any = SimpleNamespace(grant_issuers=(b"issuer",))
ANYBODY: Any = SimpleNamespace(grant_issuers=())


def record(header: InstallHeader) -> InstallRecord:
    return InstallRecord(header, header.to_bytes(), b"wrapped")


def ending(end: int | None, **other: Any) -> InstallRecord:
    return record(HEADER._replace(constraints=Constraints(not_after=end), **other))


def test_the_later_end_counts() -> None:
    installed = ending(10)
    for other, counting in ((None, 10), (ending(11), 11), (ending(10), 10), (ending(9), 10)):
        found = lease.in_force(installed, other, LEASED)
        assert found.header.constraints.not_after == counting
    # At the same end nothing is gained by the lease.
    assert lease.in_force(installed, ending(10), LEASED) is installed
    forever = ending(None)
    assert lease.in_force(forever, ending(11), LEASED) is forever
    assert lease.in_force(installed, ending(11, installation=bytes([1]) * 16), LEASED) is installed
    for wrong in (ending(None), ending(11, device_id="other"), ending(11, epoch=2)):
        with pytest.raises(TamperedError, match="beyond its end"):
            lease.in_force(installed, wrong, LEASED)
    with pytest.raises(TamperedError, match="beyond its end"):
        lease.in_force(installed, ending(11), ANYBODY)
    with pytest.raises(UsageError, match="takes signed grants only"):
        lease.check_leasable((), [Constraints(not_after=5)])


def test_a_lease_that_is_not_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "installed.keep"
    assert lease.read_lease(path) is None
    lease.lease_path(path).write_bytes(ending(11).to_bytes())
    assert lease.read_lease(path) == ending(11)
    lease.lease_path(path).write_bytes(b"{}")
    with pytest.raises(MalformedError, match=r"installed.keep.lease: "):
        lease.read_lease(path)


def granting(*ends: int | None) -> list[Any]:
    return [SimpleNamespace(header=SimpleNamespace(constraints=Constraints(not_after=end))) for end in ends]


def test_grants_that_end_later_are_tried_the_latest_first() -> None:
    found: Any = SimpleNamespace(signed=SimpleNamespace(manifest=LEASED), header=HEADER)
    later = renewal._later(granting(10, 12, 9, None, 11), found)
    assert [renewal._end(each) for each in later] == [12, 11]
    assert renewal._end(granting(None)[0]) == 0
    with pytest.raises(RefusedError, match="no grant ends later"):
        renewal._later(granting(10, None), found)
    forever: Any = SimpleNamespace(signed=found.signed, header=HEADER._replace(constraints=Constraints()))
    with pytest.raises(RefusedError, match="has no end"):
        renewal._later(granting(12), forever)
    of_anybody: Any = SimpleNamespace(signed=SimpleNamespace(manifest=ANYBODY), header=HEADER)
    with pytest.raises(RefusedError, match="takes grants of anybody"):
        renewal._later(granting(12), of_anybody)


def test_a_grant_renews_its_end_and_nothing_else() -> None:
    def renewed(constraints: Constraints, device_id: str = "pi") -> InstallHeader:
        granted: Any = SimpleNamespace(constraints=constraints, device_id=device_id)
        return renewal._new_header(HEADER, granted)

    later = Constraints(not_after=20)
    for constraints in (later, replace(later, delegate=True)):
        assert renewed(constraints) == HEADER._replace(constraints=later)
    for constraints, device_id in ((later, "other"), (replace(later, posture=("p",)), "pi")):
        with pytest.raises(RefusedError, match="demands something else"):
            renewed(constraints, device_id)


@pytest.mark.parametrize("coverage", Coverage)
def test_what_a_signature_covers_and_what_it_passes_over(workshop: Workshop, coverage: Coverage) -> None:
    with Bundle(workshop.seal(digest=coverage)) as bundle:
        payload = oms.parse(bundle.read(names.SIGNATURE).rstrip()).payload
    statement = Statement.from_bytes(payload)
    further = () if coverage is Coverage.FILES else ("leaves", "payload")
    assert statement.ignore_paths == ("model.sig", "signatures", "grants", *further)
    covered = {"manifest.json"}
    if coverage is Coverage.FILES:
        covered |= {"leaves/0", "leaves/1", "payload/0", "payload/1"}
    assert set(statement.resources) == covered
    assert all(any(digest) for digest in statement.resources.values())


def test_leaves_are_held_against_both_of_their_digests() -> None:
    digest, data = LeafAlgorithm.SHA256.digest, bytes(32)
    manifest = SimpleNamespace(
        members=(SimpleNamespace(leaves=digest(data)),), leaf_algorithm=LeafAlgorithm.SHA256
    )

    def signed(resources: dict[str, bytes]) -> SignedManifest:
        return SignedManifest(None, manifest, resources, None, None, Now(1, 2), frozenset())  # type: ignore[arg-type]

    assert signed({}).checked_leaves(0, data) == data
    assert signed({"leaves/0": digest(data)}).checked_leaves(0, data) == data
    for resources, content in (({"leaves/0": bytes(32)}, data), ({}, bytes(31))):
        with pytest.raises(TamperedError, match="leaves/0 is not the one that was signed"):
            signed(resources).checked_leaves(0, content)
    assert signed({}).release.now == 2


def test_the_larger_description_of_a_model_is_not_decrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.dumps({}).encode()
    manifest: Any = SimpleNamespace(members=(SimpleNamespace(size=2), SimpleNamespace(size=1)))
    asked: list[int] = []

    def decrypt(view: memoryview) -> None:
        asked.append(len(view))
        view[:] = content

    for largest, tried in ((2, [2]), (1, [])):
        monkeypatch.setattr(unlocked, "LARGEST_INNER_MANIFEST", largest)
        asked.clear()
        with pytest.raises(MalformedError):
            unlocked.inner_manifest(manifest, decrypt)
        assert asked == tried


def test_slots_are_described_once_and_by_their_owner(tmp_path: Path) -> None:
    folder = SlotFolder(tmp_path / "slots" / "of", "m")
    assert not SlotFolder.is_at(folder.path)
    folder.create()
    assert SlotFolder.is_at(folder.path)
    assert (SlotFolder.read(folder.path), folder.path.stat().st_mode & 0o777) == (folder, 0o700)
    assert (folder.path / "slots.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="has slots already"):
        folder.create()
    for mode in (0o701, 0o710, 0o704):
        folder.path.chmod(mode)
        with pytest.raises(UsageError, match="a folder that others may use"):
            folder.create()
    (folder.path / "slots.json").write_bytes(b'{"format":"modelkeep/slots","model":"m","version":2}')
    with pytest.raises(UnsupportedVersionError):
        SlotFolder.read(folder.path)
    # What is no installation is looked at, and let go.
    folder.file("a").write_bytes(bytes(1024))
    before = settled_descriptors()
    assert [folder.installation(slot) for slot in SLOTS] == [None, None]
    assert open_descriptors() == before


def test_the_slot_that_counts_is_the_active_one_or_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    held: dict[str, bytes | None] = {"a": name(1), "b": name(2)}
    monkeypatch.setattr(SlotFolder, "installation", lambda _folder, slot: held[slot])
    folder, contents = SlotFolder(Path("slots"), "m"), Contents()
    with pytest.raises(RollbackError, match="none of the slots counts yet"):
        folder.current_file(contents)
    model = contents.model("m")
    for number, stage in ((1, Stage.CURRENT), (2, Stage.TRIAL)):
        model.installations[name(number)] = Installed(mark(number, 1), bytes(32), stage)
    assert folder.current(contents) == "a"
    model.installations[name(2)] = Installed(mark(2, 1), bytes(32), Stage.CURRENT)
    model.active = name(2)
    assert folder.current_file(contents) == Path("slots/b.keep")
    held["b"] = None
    assert folder.current(contents) == "a"
    held["a"] = name(3)
    with pytest.raises(RollbackError, match="none of the slots holds what counts"):
        folder.current_file(contents)
    assert SLOTS == ("a", "b")


def access_to(identity: Any, **more: Any) -> Access:
    return Access(identity, modelkeep.UnsafeUnsigned(), **more)


def test_an_installation_that_is_replaced_is_looked_at_once_more(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    places = iter([(1, 1), (1, 2), (1, 2), (1, 3), (1, 3), (1, 3)])
    monkeypatch.setattr(access, "_identity_of", lambda _path: next(places))

    def refuse(*_arguments: object) -> None:
        looks.append(1)
        raise RollbackError("older")

    monkeypatch.setattr(access, "_unlock_at", refuse)
    with access_to(workshop.identity()) as opened:
        for expected in (2, 3):
            # Replaced in between, and then not: at most once more, and not at all for what stayed.
            with ExitStack() as stack, pytest.raises(RollbackError):
                access._unlock_installation(Path("installed"), opened, stack)
            assert len(looks) == expected


def test_what_is_asked_for_is_taken_as_it_is_meant(workshop: Workshop) -> None:
    assert access_to(workshop.identity(), posture="verified-boot").posture == {"verified-boot"}
    assert access_to(workshop.identity(), posture=("a", "b")).posture == {"a", "b"}
    wrong: Any = 5
    with pytest.raises(UsageError, match="not an identity: int"):
        access_to(wrong)
    with pytest.raises(UsageError, match="not a verifier: int"):
        Access(workshop.identity(), wrong)
    assert access.sidecar_path(Path("a/b.keep")) == Path("a/b.keep.grants")
    assert access.sidecar_path(Path("..")).name == f"{Path('..').resolve().name}.grants"


def test_newer_grants_are_told_after_all_others() -> None:
    def source(*answers: int | KeepError) -> Iterator[int]:
        for each in answers:
            if isinstance(each, KeepError):
                raise each
            yield each

    def read(*sources: Iterator[Any]) -> Iterator[Any]:
        return access._one_after_the_other(*sources)

    assert list(read(source(1), source(2))) == [1, 2]
    newer = UnsupportedVersionError("first"), UnsupportedVersionError("second")
    found: list[int] = []
    with pytest.raises(UnsupportedVersionError, match="first"):
        found.extend(read(source(1, newer[0]), source(2, newer[1])))
    reading = read(source(1, newer[0]), source(2))
    assert [next(reading), next(reading)] == [1, 2]
    with pytest.raises(UnsupportedVersionError, match="first"):
        next(reading)
    with pytest.raises(StorageError):
        list(read(source(StorageError("gone")), source(2)))


def test_a_bundle_without_a_signature_or_with_another_manifest_is_refused(workshop: Workshop) -> None:
    unsigned = workshop.seal(signer=None, unsafe_unsigned=True)
    with Bundle(unsigned) as bundle, pytest.raises(SignatureError, match="the bundle is not signed"):
        bundle.verify(workshop.verifier())
    with Bundle(unsigned) as bundle:
        verified = bundle.verify(modelkeep.UnsafeUnsigned(MODEL_ID))
        assert (verified.signer, verified.signed_sha256("payload/0")) == (None, None)
        told: list[int] = []
        verified.check_digests(told.append)
        assert sum(told) == sum(member.size for member in verified.manifest.members)


def test_a_key_that_was_unwrapped_is_wiped_when_nothing_comes_of_it(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bundle(workshop.seal()) as bundle, workshop.identity() as identity:
        verified = bundle.verify(workshop.verifier())
        with verified.unlock(identity, bundle.embedded_grants()) as opened:
            assert not opened.provenance.installed
        unwrapped: list[Any] = []

        def fail(_verified: object, granted: object) -> None:
            unwrapped.append(granted)
            raise ZeroDivisionError

        monkeypatch.setattr("modelkeep.bundle.bundle.UnlockedBundle", fail)
        with pytest.raises(ZeroDivisionError):
            verified.unlock(identity, bundle.embedded_grants())
        with pytest.raises(UsageError, match="closed"):
            _ = unwrapped[0].data_key.view
