"""What the C library keeps of freed memory, and what threads keep in their stacks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from modelkeep.memory import heap, stacks_overwritten


@pytest.mark.skipif(not heap.overwrites(), reason="only the GNU C library overwrites freed memory")
def test_freed_memory_is_overwritten_within_the_block_alone() -> None:
    code = """
import ctypes
from modelkeep.memory import freed_memory_overwritten
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

seen = (ctypes.c_char * 10_000)()  # made beforehand: new memory could come from the freed block

def freed() -> bytes:
    block, fence = libc.malloc(20_000), libc.malloc(100)
    ctypes.memset(block, 0x41, 20_000)
    libc.free(block)
    ctypes.memmove(seen, block + 5_000, 10_000)
    return seen.raw

with freed_memory_overwritten(), freed_memory_overwritten():
    assert freed() == b"\\xff" * 10_000
assert freed() == b"A" * 10_000
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not heap.overwrites(), reason="only the GNU C library overwrites freed memory")
@pytest.mark.parametrize(
    "variable", [{"MALLOC_PERTURB_": "190"}, {"GLIBC_TUNABLES": "glibc.malloc.perturb=0xbe"}]
)
def test_what_the_operator_asked_for_holds_again_afterwards(variable: dict[str, str]) -> None:
    code = """
import ctypes
from modelkeep.memory import freed_memory_overwritten
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
with freed_memory_overwritten():
    pass
seen = (ctypes.c_char * 10_000)()
block, fence = libc.malloc(20_000), libc.malloc(100)
ctypes.memset(block, 0x41, 20_000)
libc.free(block)
ctypes.memmove(seen, block + 5_000, 10_000)
assert seen.raw == b"\\xbe" * 10_000, seen.raw[:4]
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | variable)


@pytest.mark.skipif(not heap.overwrites(), reason="only the GNU C library overwrites freed memory")
def test_small_blocks_that_are_kept_at_hand_are_overwritten() -> None:
    code = """
import ctypes
from modelkeep.memory import overwrite_small_blocks
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
overwrite_small_blocks()
sizes = [24, 40, 200, 1000, 1032]
blocks = [libc.malloc(size) for size in sizes]
for block, size in zip(blocks, sizes):
    ctypes.memset(block, 0x41, size)
for block in blocks:
    libc.free(block)
overwrite_small_blocks()
for block, size in zip(blocks, sizes):
    assert b"AAAA" not in ctypes.string_at(block, size), size
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stacks_are_overwritten_in_threads_of_any_size() -> None:
    def work() -> None:
        for _ in range(20):
            with stacks_overwritten():
                threading.Thread(target=len, args=("",)).start()

    before = threading.stack_size()
    try:
        for size in (0, 64 * 2**10, 2**20):
            threading.stack_size(size)
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    finally:
        threading.stack_size(before)
    work()
