import ctypes
import gc
import mmap
import os
import resource
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from modelkeep.errors import UnavailableError, UsageError
from modelkeep.memory import BytesPages, MemoryFile, MemoryReport, Pages, report, system, wipe, wiped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into Linux's /proc")

SECRET = b"the weights of the model"
MIB = 2**20
Kind = type[Pages] | type[BytesPages]
KINDS: list[Kind] = [Pages, BytesPages]
either = pytest.mark.parametrize("kind", KINDS)


def filled(kind: Kind, size: int = len(SECRET)) -> Pages | BytesPages:
    memory = kind.allocate(size)
    memory.view[:] = (SECRET * (size // len(SECRET) + 1))[:size]
    return memory


def address_of(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


def kernel_flags(address: int) -> set[str]:
    """Returns the kernel's flags of the mapping at `address`; none when nothing is mapped there."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(" ")
        if "-" in name:
            start, _, end = name.partition("-")
            inside = int(start, 16) <= address < int(end, 16)
        if inside and name == "VmFlags:":
            return set(rest.split())
    return set()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def run_script(source: str) -> str:
    """Runs Python code in a fresh interpreter, which a fork or a limit may then spoil."""
    command = [sys.executable, "-c", textwrap.dedent(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@either
@pytest.mark.parametrize("size", [0, 1, 2, 4095, 4096, 4097, 3 * MIB + 1])
def test_view_is_writable_bytes_of_the_exact_size(kind: Kind, size: int) -> None:
    content = os.urandom(size)
    with kind.allocate(size) as memory:
        assert memory.size == size
        assert (memory.view.format, memory.view.nbytes, memory.view.readonly) == ("B", size, False)
        memory.view[:] = content
        assert memory.view == content


def test_new_pages_are_zeros() -> None:
    with Pages.allocate(10_000) as pages:
        assert not any(pages.view)


def test_leaving_a_view_block_does_not_close_the_memory() -> None:
    with filled(Pages) as pages:
        with pages.view as view:
            assert view == SECRET
        assert pages.view == SECRET


@either
@pytest.mark.parametrize("size", [1, len(SECRET), 3 * MIB + 1])
def test_views_others_hold_read_zeros_after_close(kind: Kind, size: int) -> None:
    memory = filled(kind, size)
    view, array = memory.view, np.frombuffer(memory.view, dtype=np.uint8)
    assert view[0] == array[0] == SECRET[0]
    memory.close()
    assert not np.count_nonzero(array)
    assert view == bytes(size)


@either
def test_closing_again_does_nothing(kind: Kind) -> None:
    memory = filled(kind)
    assert not memory.closed
    memory.close()
    memory.close()
    assert memory.closed


@either
def test_closed_memory_refuses_use(kind: Kind) -> None:
    memory = filled(kind)
    memory.close()
    with pytest.raises(UsageError, match="closed"):
        _ = memory.view


def test_closed_bytes_refuse_their_value() -> None:
    memory = BytesPages.allocate(3)
    memory.close()
    with pytest.raises(UsageError, match="closed"):
        _ = memory.value


@either
def test_an_error_wipes(kind: Kind) -> None:
    memory = filled(kind)
    view = memory.view
    with pytest.raises(ZeroDivisionError), memory:
        _ = 1 // 0
    assert view == bytes(len(SECRET))


@either
def test_collection_wipes(kind: Kind) -> None:
    memory = filled(kind)
    view = memory.view
    assert view == SECRET
    del memory
    gc.collect()
    assert view == bytes(len(SECRET))


@pytest.mark.parametrize("kind", ["Pages", "BytesPages"])
def test_exit_wipes(kind: str) -> None:
    # Handlers run in reverse order, so the one registered before the import runs after the wipe.
    shown = run_script(f"""
        import atexit
        atexit.register(lambda: print(bytes(view)))
        from modelkeep.memory import {kind}
        memory = {kind}.allocate(6)
        view = memory.view
        view[:] = b"secret"
        print(bytes(view))
    """)
    assert shown.splitlines() == [repr(b"secret"), repr(bytes(6))]


def test_mapping_goes_when_the_last_view_goes() -> None:
    pages = filled(Pages, 64 * MIB)
    array = np.frombuffer(pages.view, dtype=np.uint8)
    before = resident_bytes()
    pages.close()
    assert kernel_flags(array.ctypes.data)
    assert resident_bytes() > before - 8 * MIB
    del array
    assert resident_bytes() < before - 56 * MIB


def test_bytes_outlive_their_owner_while_a_view_is_held() -> None:
    memory = filled(BytesPages, 3 * MIB)
    view = memory.view
    del memory
    gc.collect()
    view[:] = b"x" * len(view)
    assert bytes(view) == b"x" * 3 * MIB


def test_pages_are_not_dumped_not_inherited_and_locked_as_reported() -> None:
    with Pages.allocate(32) as small, Pages.allocate(32, lock=False) as unlocked:
        flags = kernel_flags(address_of(small.view))
        assert {"dd", "dc"} <= flags
        assert small.locked == ("lo" in flags)
        assert not unlocked.locked
        assert "lo" not in kernel_flags(address_of(unlocked.view))


def test_large_pages_ask_for_huge_pages_without_becoming_resident() -> None:
    before = resident_bytes()
    with Pages.allocate(64 * MIB) as large, Pages.allocate(MIB) as small:
        assert resident_bytes() < before + 32 * MIB
        flags = kernel_flags(address_of(large.view))
        assert large.huge == ("hg" in flags)
        assert large.locked == ("lo" in flags)
        assert {"dd", "dc"} <= flags
        assert not small.huge


def test_memory_that_is_discarded_is_zero_to_its_ends_and_not_beyond() -> None:
    page = mmap.PAGESIZE
    for start, size in [(0, 5 * page), (100, 3 * page), (100, 50), (page - 1, 2 * page + 2)]:
        with mmap.mmap(-1, 6 * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as mapping:
            mapping[:] = b"\1" * len(mapping)
            system.discard(system.address_of(mapping) + start, size)
            assert mapping[:] == b"\1" * start + bytes(size) + b"\1" * (6 * page - start - size)


def test_large_bytes_are_kept_out_of_dumps_until_closed() -> None:
    memory = BytesPages.allocate(8 * MIB)
    view = memory.view
    middle = address_of(view) + 4 * MIB
    assert "dd" in kernel_flags(middle)
    assert memory.huge == ("hg" in kernel_flags(middle))
    assert "dc" not in kernel_flags(middle)
    memory.close()
    assert "dd" not in kernel_flags(middle)


@pytest.mark.parametrize("size", [0, 1, 2, 1000, 3 * MIB])
def test_value_is_the_same_memory_as_the_view(size: int) -> None:
    content = os.urandom(size)
    with BytesPages.allocate(size) as memory:
        value = memory.value
        memory.view[:] = content
        assert value == content
        assert memory.value is value
    assert value == bytes(size)


def test_shared_short_bytes_are_never_written() -> None:
    shared = [bytes([number]) for number in range(256)]
    for number in range(256):
        with BytesPages.allocate(1) as one:
            one.view[0] = 255 - number
            assert all(one.value is not other for other in shared)
    with BytesPages.allocate(0) as none:
        assert none.value == b""
    assert [value[0] for value in shared] == list(range(256))
    assert [ord(bytes([number])) for number in range(256)] == list(range(256))


def test_bytes_need_cpython(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimpleNamespace(**{**vars(sys.implementation), "name": "pypy"})
    with monkeypatch.context() as patch, pytest.raises(UnavailableError, match="CPython"):
        patch.setattr(sys, "implementation", other)
        BytesPages.allocate(1)


@either
@pytest.mark.parametrize("size", [2**62, 2**63, 2**70])
def test_too_much_is_unavailable(kind: Kind, size: int) -> None:
    with pytest.raises(UnavailableError, match="not enough memory") as caught:
        kind.allocate(size)
    assert caught.value.hint


def test_a_limit_on_open_files_is_not_taken_for_lack_of_memory() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, before[1]))
        with pytest.raises(UnavailableError, match="too many open files") as caught:
            MemoryFile.allocate(1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "ulimit -n" in (caught.value.hint or "")


@either
def test_negative_sizes_are_refused(kind: Kind) -> None:
    with pytest.raises(UsageError):
        kind.allocate(-1)


@pytest.mark.parametrize("kind", ["Pages", "BytesPages"])
@pytest.mark.parametrize("size", [1, 6000, 3 * MIB + 5])
def test_forked_child_sees_nothing_and_is_told_so(kind: str, size: int) -> None:
    shown = run_script(f"""
        import os, sys
        from modelkeep.errors import UsageError
        from modelkeep.memory import {kind}
        memory = {kind}.allocate({size})
        neighbours = [b"n" * {size} for _ in range(9)]
        view = memory.view
        view[:] = b"s" * {size}
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            assert memory.view == b"s" * {size}
            sys.exit()
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if view == bytes({size}) else 1)
        end = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
        print("fault" if end == -11 else "zeros" if end == 0 else "seen", flush=True)
        assert all(neighbour == b"n" * {size} for neighbour in neighbours)
        for use in ("view", "value"):
            try:
                getattr(memory, use)
            except (UsageError, AttributeError) as error:
                print(type(error).__name__, flush=True)
        if os.fork():
            assert os.wait()[1] == 0
        memory.close()
    """)
    refusals = {"Pages": ["UsageError", "AttributeError"], "BytesPages": ["UsageError"] * 2}
    seen, *refused = shown.split()
    assert refused == refusals[kind]
    # Of a bytes object, whole pages alone can be taken away; the rest is zeros.
    assert seen in (["fault"] if kind == "Pages" or size > MIB else ["fault", "zeros"])


def test_forked_child_may_leave_without_closing() -> None:
    shown = run_script("""
        import os, sys
        from modelkeep.memory import BytesPages, Pages
        held = [Pages.allocate(5000), BytesPages.allocate(5000), Pages.allocate(1)]
        held[2].close()
        for memory in held[:2]:
            memory.view[:] = b"s" * 5000
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            print([bytes(memory.view).count(b"s") for memory in held[:2]])
    """)
    assert shown == "[5000, 5000]\n"


def test_closing_in_a_forked_child_costs_no_memory() -> None:
    shown = run_script("""
        import os
        from modelkeep.memory import Pages
        def resident_pages():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1])
        pages = Pages.allocate(2**26)
        view = pages.view
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            os._exit(0)
        before = resident_pages()
        pages.close()
        print((resident_pages() - before) * os.sysconf("SC_PAGESIZE") < 2**23)
    """)
    assert shown == "True\n"


def with_lock_limit(limit: int, source: str) -> str:
    # Root is not bound by the limit, so the script leaves root first.
    header = f"""
        import os, resource
        from modelkeep.memory import Pages
        resource.setrlimit(resource.RLIMIT_MEMLOCK, ({limit}, {limit}))
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
    """
    return run_script(textwrap.dedent(header) + textwrap.dedent(source))


def test_refused_locks_are_reported_not_raised() -> None:
    assert with_lock_limit(0, "print(Pages.allocate(32).locked)") == "False\n"


def test_weights_leave_room_to_lock_keys() -> None:
    if os.getuid() != 0 and 0 <= resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] < 3 * MIB:
        pytest.skip("the hard limit is too low")
    shown = with_lock_limit(
        3 * MIB,
        """
        sizes = [2**20, 3 * 2**19, 2**20 // 2, 32, 32]
        held = [Pages.allocate(size) for size in sizes]
        print([pages.locked for pages in held])
        """,
    )
    assert shown == "[True, False, True, True, True]\n"


def test_many_cycles_leave_no_mappings_behind() -> None:
    def cycle() -> int:
        for size in (1, 5000, 3 * MIB):
            filled(Pages, size).close()
            filled(BytesPages, size).close()
        return len(Path("/proc/self/maps").read_text().splitlines())

    before = [cycle() for _ in range(3)][-1]
    after = [cycle() for _ in range(100)][-1]
    assert after <= before + 3


def test_threads_do_not_disturb_each_other() -> None:
    def use(number: int) -> bool:
        with Pages.allocate(40_000) as pages, BytesPages.allocate(40_000) as value:
            pages.view[:] = value.view[:] = bytes([number]) * 40_000
            return bytes(pages.view) == value.value == bytes([number]) * 40_000

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(200)))


def test_threads_may_close_the_same_memory() -> None:
    memories = [filled(kind) for kind in KINDS * 50]
    start = threading.Barrier(4)

    def close_all(_: int) -> None:
        start.wait()
        for memory in memories:
            memory.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(close_all, range(4)))
    assert all(memory.closed for memory in memories)


def test_report_adds_up() -> None:
    with Pages.allocate(100, lock=False) as pages, BytesPages.allocate(7) as value:
        assert report(pages, value) == MemoryReport(locked_bytes=0, unlocked_bytes=107, huge=False)
    with Pages.allocate(100) as key, Pages.allocate(2 * MIB, lock=False) as weights:
        locked = 100 if key.locked else 0
        expected = MemoryReport(locked, 100 + 2 * MIB - locked, huge=weights.huge)
        assert report(key, weights) == expected
    assert report() == MemoryReport(locked_bytes=0, unlocked_bytes=0, huge=False)


def test_memory_does_not_show_its_content() -> None:
    with filled(Pages) as pages, filled(BytesPages) as value:
        assert SECRET.decode() not in repr(pages) + repr(value)


def test_wipe_clears_any_writable_buffer() -> None:
    buffer = bytearray(SECRET)
    wipe(memoryview(buffer)[4:11])
    assert buffer == SECRET[:4] + bytes(7) + SECRET[11:]
    wipe(buffer)
    assert buffer == bytes(len(SECRET))
    floats = np.ones((3, 4))
    wipe(floats.data)
    assert not floats.any()
    wipe(bytearray())


@pytest.mark.parametrize("buffer", [memoryview(SECRET), memoryview(bytearray(6))[::2], "text"])
def test_wipe_refuses_what_it_cannot_clear(buffer: memoryview) -> None:
    with pytest.raises(UsageError, match="cannot wipe"):
        wipe(buffer)


def test_wipe_refuses_a_released_view() -> None:
    view = memoryview(bytearray(3))
    view.release()
    with pytest.raises(UsageError, match="cannot wipe"):
        wipe(view)


def test_wiped_buffer_is_cleared_on_leaving_and_on_error() -> None:
    with wiped(len(SECRET)) as buffer:
        assert buffer == bytes(len(SECRET))
        buffer[:] = SECRET
    assert buffer == bytes(len(SECRET))
    with pytest.raises(ZeroDivisionError), wiped(len(SECRET)) as buffer:
        buffer[:] = SECRET
        _ = 1 // 0
    assert buffer == bytes(len(SECRET))


def test_wiped_buffer_cannot_grow_and_leave_a_copy() -> None:
    with wiped(4) as buffer, pytest.raises(BufferError):
        buffer.extend(SECRET)


def test_wiped_refuses_a_negative_size() -> None:
    with pytest.raises(UsageError), wiped(-1):
        pass
