"""What the system is asked to do with memory, call by call, and what a forked child leaves alone."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelkeep.errors import UnavailableError, UsageError
from modelkeep.memory import BytesPages, MemoryFile, Pages, memory_file, pages, system

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")

PAGE = mmap.PAGESIZE


class Kernel:
    """Notes what it is asked for and answers as it is told."""

    def __init__(self, answer: int = 0) -> None:
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        if name not in ("madvise", "mlock", "mlock2", "mprotect"):
            raise AttributeError(name)

        def called(*arguments: Any) -> int:
            self.calls.append((name, tuple(getattr(each, "value", each) for each in arguments)))
            return self._answer

        return called


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(system, "_LIBC", kernel)
    return kernel


def test_numbers_are_those_of_the_kernel() -> None:
    for name in ("DONTNEED", "DONTFORK", "HUGEPAGE", "DONTDUMP", "DODUMP"):
        assert getattr(system, f"MADV_{name}") == getattr(mmap, f"MADV_{name}")
    assert memory_file._F_ADD_SEALS == fcntl.F_ADD_SEALS
    assert memory_file._SEAL == fcntl.F_SEAL_SEAL
    assert memory_file._SHRINK == fcntl.F_SEAL_SHRINK
    assert memory_file._GROW == fcntl.F_SEAL_GROW


def test_whole_pages_lie_within_a_range() -> None:
    assert system.whole_pages(PAGE, 2 * PAGE) == (PAGE, 2 * PAGE)
    assert system.whole_pages(PAGE - 1, 2 * PAGE) == (PAGE, PAGE)
    assert system.whole_pages(PAGE + 1, 2 * PAGE) == (2 * PAGE, PAGE)
    assert system.whole_pages(PAGE + 1, PAGE) == (2 * PAGE, 0)
    assert system.whole_pages(PAGE + 1, 5)[1] == 0


def test_the_kernel_is_asked_for_something_and_believed(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert system.advise(PAGE, 1, 16)
    assert not system.advise(PAGE, 0, 16)
    system.forbid(PAGE, 1)
    system.forbid(PAGE, 0)
    assert kernel.calls == [("madvise", (PAGE, 1, 16)), ("mprotect", (PAGE, 1, 0))]
    assert not system._call("msomething", PAGE, 1)
    monkeypatch.setattr(system, "_LIBC", Kernel(-1))
    assert not system.advise(PAGE, 1, 16)
    monkeypatch.setattr(system, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(system, "_LIBC", kernel)
    kernel.calls.clear()
    assert not system.advise(PAGE, 1, 16)
    system.forbid(PAGE, 1)
    assert system._lock_range(PAGE, 1)
    assert kernel.calls == [("mlock", (PAGE, 1))]


def test_large_regions_are_locked_only_where_room_is_left_for_keys(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert system.lock(PAGE, system.LARGEST_KEY)
    assert kernel.calls == [("mlock2", (PAGE, system.LARGEST_KEY, 1))]
    kernel.calls.clear()
    assert system.lock(PAGE, system.LARGEST_KEY + 1)
    assert [arguments[1] for _, arguments in kernel.calls] == [system.KEY_ROOM, system.LARGEST_KEY + 1]
    monkeypatch.setattr(system, "_LIBC", full := Kernel(-1))
    assert not system.lock(PAGE, system.LARGEST_KEY + 1)
    assert len(full.calls) == 1


def test_what_is_free_is_what_the_kernel_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def saying(text: str | None) -> int | None:
        def read(_path: Path) -> str:
            if text is None:
                raise OSError
            return text

        monkeypatch.setattr(Path, "read_text", read)
        return system.available_memory()

    assert saying("MemTotal:  9 kB\nMemAvailable:    7 kB\n") == 7 * 1024
    for nothing in ("MemTotal: 9 kB\n", "MemAvailable: much kB\n", "MemAvailable:\n", None):
        assert saying(nothing) is None


def test_what_mappings_are_asked_to_be(kernel: Kernel) -> None:
    with Pages.allocate(5) as small:
        assert (small.size, small.locked, small.huge) == (5, True, False)
    assert [(name, arguments[2]) for name, arguments in kernel.calls] == [
        ("madvise", system.MADV_DONTDUMP),
        ("madvise", system.MADV_DONTFORK),
        ("mlock2", 1),
    ]
    kernel.calls.clear()
    with Pages.allocate(system.HUGE_PAGE, lock=False) as large:
        assert (large.locked, large.huge) == (False, True)
    assert [arguments[1:] for _, arguments in kernel.calls] == [
        (system.HUGE_PAGE, system.MADV_DONTDUMP),
        (system.HUGE_PAGE, system.MADV_DONTFORK),
        (system.HUGE_PAGE, system.MADV_HUGEPAGE),
    ]
    kernel.calls.clear()
    with BytesPages.allocate(system.HUGE_PAGE) as whole:
        assert (whole.locked, whole.huge) == (False, True)
        start, length = system.whole_pages(system.address_of(whole._buffer), system.HUGE_PAGE)
    advice = (system.MADV_DONTDUMP, system.MADV_HUGEPAGE, system.MADV_DODUMP)
    asked = [arguments for _, arguments in kernel.calls if arguments[2] in advice]
    assert asked == [(start, length, each) for each in advice]
    with BytesPages.allocate(system.HUGE_PAGE - 1) as less:
        assert not less.huge
    kernel.calls.clear()
    with MemoryFile.allocate(5) as file:
        assert (file.locked, file.huge, os.get_inheritable(file.descriptor)) == (True, False, False)
    assert kernel.calls[0][1][2] == system.MADV_DONTDUMP


@pytest.mark.parametrize("kind", [Pages, BytesPages])
def test_what_the_end_of_the_program_wiped_is_closed(kind: type[Pages] | type[BytesPages]) -> None:
    memory = kind.allocate(5)
    view = memory.view
    view[:] = b"bytes"
    assert not memory.closed
    # As at the end of the interpreter, which runs finalizers while objects are still there.
    memory._finalizer()
    assert memory.closed
    assert bytes(view) == bytes(5)
    with pytest.raises(UsageError, match="closed"):
        _ = memory.view


def test_memory_of_another_process_is_left_alone() -> None:
    content = bytearray(b"bytes")
    released: list[int] = []
    address = system.address_of(content)
    pages._dispose(address, 5, os.getpid() + 1, lambda: released.append(1))
    assert (bytes(content), released) == (b"bytes", [])
    pages._dispose(address, 5, os.getpid(), lambda: released.append(1))
    assert (bytes(content), released) == (bytes(5), [1])


@pytest.mark.parametrize("kind", [Pages, BytesPages])
def test_a_forked_child_keeps_the_place_and_nothing_else(
    kind: type[Pages] | type[BytesPages], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[object] = []
    forbidden: list[tuple[int, int]] = []
    monkeypatch.setattr(pages, "_keep_for_ever", kept.append)
    monkeypatch.setattr(system, "forbid", lambda *place: forbidden.append(place))
    memory = kind.allocate(5)
    memory.view[:] = b"bytes"
    memory._drop_copy()
    assert [each is memory._buffer for each in kept] == [True]
    # A mapping was never given to the child; a child's own copy of other memory is cleared.
    assert bytes(memory.view) == (b"bytes" if kind is Pages else bytes(5))
    place = system.whole_pages(system.address_of(memory._buffer), 5)
    assert forbidden == ([] if kind is Pages else [place])
    memory.close()
    memory._drop_copy()
    assert len(kept) == 1


def test_what_is_kept_for_ever_has_one_owner_more() -> None:
    kept = object()
    before = sys.getrefcount(kept)
    pages._keep_for_ever(kept)
    assert sys.getrefcount(kept) > before


def test_mappings_are_cleared_where_children_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Pages.allocate(5)
    memory.view[:] = b"bytes"
    monkeypatch.setattr(pages, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(system, "forbid", lambda *_range: None)
    memory._drop_copy()
    assert bytes(memory.view) == bytes(5)


def test_what_cannot_be_allocated_is_said() -> None:
    with pages.words_for_allocation(0), pages.words_for_allocation(sys.maxsize):
        pass
    with pytest.raises(UsageError), pages.words_for_allocation(-1):
        pass
    with (
        pytest.raises(UnavailableError, match="not enough memory"),
        pages.words_for_allocation(sys.maxsize + 1),
    ):
        pass
    for number, words in (
        (errno.EMFILE, "too many"),
        (errno.ENFILE, "too many"),
        (errno.ENOMEM, "not enough"),
    ):
        with pytest.raises(UnavailableError, match=words), pages.words_for_allocation(5):
            raise OSError(number, "no")


@pytest.mark.parametrize(
    ("size", "length"),
    [
        (system.HUGE_PAGE // 2, system.HUGE_PAGE // 2),
        (system.HUGE_PAGE // 2 + 1, system.HUGE_PAGE),
        (system.HUGE_PAGE, system.HUGE_PAGE),
        (system.HUGE_PAGE + 1, system.HUGE_PAGE + 1),
        (system.HUGE_PAGE + system.HUGE_PAGE // 2, system.HUGE_PAGE + system.HUGE_PAGE // 2),
        (system.HUGE_PAGE + system.HUGE_PAGE // 2 + 1, 2 * system.HUGE_PAGE),
    ],
)
def test_large_mappings_are_made_of_whole_huge_pages_where_that_costs_little(size: int, length: int) -> None:
    with system.new_huge_mapping(size) as region:
        assert len(region) == length
