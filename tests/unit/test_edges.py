"""Small things at their edges, which results and refusals elsewhere do not show."""

from __future__ import annotations

import copy
import errno
import mmap
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import modelkeep
from modelkeep import storage
from modelkeep.bundle import access
from modelkeep.clock import TOLERANCE, Clock
from modelkeep.container import tar
from modelkeep.container.folder import Folder
from modelkeep.device import state_lock
from modelkeep.errors import MalformedError, RefusedError, RollbackError, UnavailableError, UsageError
from modelkeep.grants import sidecar
from modelkeep.grants.agreement_key import Relay
from modelkeep.grants.kinds import count_kind
from modelkeep.grants.recipient_text import format_recipient, parse_recipient
from modelkeep.keys.file import FileStore
from modelkeep.memory.memory_file import MemoryFile
from modelkeep.partial import Partial
from modelkeep.record import Record
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust import trust_editing
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.trust_payload import MOST_FLOORS
from support.descriptors import open_descriptors, settled_descriptors
from support.paper import PaperCounter, install, new_state
from support.workshop import Workshop


def test_a_batch_of_grants_larger_than_one_write_is_whole(tmp_path: Path, workshop: Workshop) -> None:
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")])
    target = tmp_path / "grants"
    other = workshop.new_device("pi-18").with_suffix(".pub")
    modelkeep.grant(
        bundle, identity=workshop.identity(), verifier=workshop.verifier(), to=other, output=target
    )
    line = target.read_bytes().rstrip(b"\n")
    count = 2 * sidecar._BATCH_BYTES // len(line) + 9
    sidecar.append_encoded(target, [line] * count)
    assert target.read_bytes() == (line + b"\n") * (count + 1)
    # What a crash left of a longer line than the next one does not stay behind it.
    target.write_bytes(line + b"\n" + line[:-1] + b" " * 100)
    assert sidecar.append_encoded(target, [line]) == target.stat().st_size == 2 * len(line) + 2
    # Whoever depends on the order has been overtaken.
    with pytest.raises(UnavailableError, match="somebody else is adding grants"):
        sidecar.append_encoded(target, [line], expected_start=len(line) + 1)
    assert sidecar.append_encoded(target, [line], expected_start=2 * len(line) + 2) == 3 * len(line) + 3


def test_a_file_in_memory_that_cannot_be_mapped_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settled_descriptors()

    def full(*_arguments: object) -> mmap.mmap:
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr("modelkeep.memory.memory_file.mmap.mmap", full)
    with pytest.raises(modelkeep.UnavailableError):
        MemoryFile.allocate(4096)
    assert open_descriptors() == before


def test_characters_that_nobody_sees_are_refused_in_one_line_as_well(workshop: Workshop) -> None:
    line = workshop.device.with_suffix(".pub").read_text().strip()
    assert format_recipient(parse_recipient(line)) == line
    for unseen in ("\u2028", "\x0b", "\u200b", "\x00"):
        with pytest.raises(MalformedError, match="that nobody sees"):
            parse_recipient(line.replace(" ", f" {unseen}", 1))
    words = line.split()
    for broken in (words[1][:-2], words[1] + "A", words[1][:-1] + "!"):
        with pytest.raises(MalformedError):
            parse_recipient(f"{words[0]} {broken} pi-17")


def test_a_ninth_kind_of_grant_is_one_of_others() -> None:
    kinds: Counter[str] = Counter()
    for number in range(12):
        count_kind(kinds, f"kind-{min(number, 9)}")
    assert kinds == {**{f"kind-{number}": 1 for number in range(8)}, "others": 4}


def test_changes_of_publishers_who_are_none_are_refused() -> None:
    mine, other = (ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(2))
    trust = TrustFile(1, 4_000_000_000, (Publisher(mine, ("*",)),))
    with pytest.raises(UsageError):
        trust_editing.with_end(trust, other, 5)
    with pytest.raises(UsageError):
        trust_editing.without_publisher(trust, other)
    floors = {f"m/{number}": ReleaseOrder(1, 0) for number in range(MOST_FLOORS)}
    full = trust_editing.with_floors(trust, floors)
    assert len(full.floors) == MOST_FLOORS
    with pytest.raises(UsageError, match="at most"):
        trust_editing.with_floors(full, {"one/more": ReleaseOrder(1, 0)})


def test_an_extension_that_is_no_object_is_refused() -> None:
    values: tuple[object, ...] = ([], "text", 5, None)
    for value in values:
        with pytest.raises(MalformedError, match="must be an object"), Record({"ext": value}, "document"):
            pass
    with Record({"ext": {"anything": 1}}, "document"):
        pass


def test_a_deleted_key_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "pi.pem"
    FileStore().create(str(path))
    before = settled_descriptors()
    FileStore().delete(str(path))
    assert (path.exists(), open_descriptors()) == (False, before)


def test_nothing_lies_beside_a_root_folder() -> None:
    with pytest.raises(UsageError, match="not a bundle"):
        access.sidecar_path(Path("/"))


def test_sizes_beyond_octal_digits_are_read_as_binary() -> None:
    for size in (0, 1, 8**11 - 1, 8**11, 2**40, 2**63):
        block = bytearray(512)
        block[124:136] = tar._size(size)
        assert tar.parse_size(bytes(block)) == size


def test_every_byte_of_a_binary_size_counts() -> None:
    block = tar.header("payload/1", 2**40)
    for number in range(11):
        field = b"\x80" + bytes(number) + b"\1" + bytes(10 - number)
        assert tar.parse_size(block[:124] + field + block[136:]) == 256 ** (10 - number)


def test_a_file_that_is_a_link_is_no_file_of_a_folder(tmp_path: Path) -> None:
    for name in ("payload", "leaves"):
        (tmp_path / "model.keep" / name).mkdir(parents=True)
        (tmp_path / "model.keep" / name / "0").write_bytes(b"x")
    (tmp_path / "elsewhere").write_bytes(b"{}")
    (tmp_path / "model.keep" / "manifest.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MalformedError, match="neither a file nor a folder"):
        Folder(tmp_path / "model.keep")


def test_the_number_of_a_counter_is_said() -> None:
    counter = PaperCounter()
    state = new_state(counter)
    assert state.number is None
    install(state, 1)
    assert state.number == counter.number is not None


def test_opening_changes_nothing_that_is_remembered(workshop: Workshop) -> None:
    from support.states import path_of

    path = workshop.folder / "installed.keep"
    modelkeep.install(workshop.seal(), path, identity=workshop.identity(), verifier=workshop.verifier())
    before = path_of(workshop.identity()).read_bytes()
    workshop.open(path).close()
    assert path_of(workshop.identity()).read_bytes() == before


def test_a_time_of_sealing_may_be_ahead_by_the_tolerance_and_no_more() -> None:
    witnessed = Clock(reading=lambda: 0.0).witnessing(2_000_000_000)
    witnessed.check_sealed_at(2_000_000_000 + TOLERANCE)
    with pytest.raises(RefusedError, match="sealed later"):
        witnessed.check_sealed_at(2_000_000_000 + TOLERANCE + 1)


def test_what_was_left_behind_is_looked_at_and_let_go(tmp_path: Path) -> None:
    left = Partial(tmp_path / "file", mode=0o600)
    name = left.path
    left.discard()
    name.touch(mode=0o600)
    before = settled_descriptors()
    storage.write_file(tmp_path / "file", b"content")
    assert open_descriptors() == before
    assert not name.exists()


def test_a_lock_whose_file_is_gone_is_none(tmp_path: Path) -> None:
    with state_lock.locked(tmp_path / "one.lock") as lock:
        lock.check()
        (tmp_path / "one.lock").unlink()
        assert not lock.is_in_place
        with pytest.raises(RollbackError):
            lock.check()


def test_a_counter_that_somebody_else_moved_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = PaperCounter()
    state = new_state(counter)
    install(state, 1)
    advance = counter.advance

    def twice() -> int:
        advance()
        return advance()

    monkeypatch.setattr(counter, "advance", twice)
    with pytest.raises(RollbackError, match="changed by somebody else"):
        install(state, 2, epoch=2)


def test_a_key_in_hardware_is_not_copied() -> None:
    relay = Relay(ec.generate_private_key(ec.SECP256R1()))
    assert copy.copy(relay) is relay
    assert copy.deepcopy(relay) is relay
