"""Memory for plaintext and keys: wiped on close, on error, when collected and at exit.

`Pages` is a private mapping of our own. `BytesPages` is a `bytes` object for runtimes that accept
nothing else. Both keep their content out of core dumps and of forked children, which fault when they
touch it. `MemoryFile` is a file without a disk behind it, for programs that insist on a path.
`SecretPages` is out of reach for other processes, as far as the limit on locked memory goes.

Linux gives all of it. Elsewhere the buffers work and are wiped alike, but without huge pages,
dump exclusion and, on Windows, locking.
"""

from modelkeep.memory.heap import freed_memory_overwritten, overwrite_small_blocks
from modelkeep.memory.memory_file import MemoryFile
from modelkeep.memory.pages import BytesPages, Memory, MemoryReport, Pages, report
from modelkeep.memory.secret_pages import SecretPages
from modelkeep.memory.stack import stacks_overwritten
from modelkeep.memory.system import available_memory
from modelkeep.memory.wiping import wipe, wiped

__all__ = [
    "BytesPages",
    "Memory",
    "MemoryFile",
    "MemoryReport",
    "Pages",
    "SecretPages",
    "available_memory",
    "freed_memory_overwritten",
    "overwrite_small_blocks",
    "report",
    "stacks_overwritten",
    "wipe",
    "wiped",
]
