"""Takes from Python what it has on Linux alone, or on POSIX systems, before modelkeep is imported.

    python -m support.less_than_linux darwin|win32 PROGRAM.py [ARGUMENTS]

The kernel stays what it is: this shows what modelkeep asks Python for, not how another system behaves.
"""

from __future__ import annotations

import asyncio  # noqa: F401 - with all of the standard library that looks at the system when it is imported
import concurrent.futures.process  # noqa: F401
import mmap
import multiprocessing.resource_tracker
import multiprocessing.shared_memory
import os
import runpy
import signal
import socket
import sqlite3  # noqa: F401
import subprocess  # noqa: F401
import sys
import tempfile  # noqa: F401
import urllib.request  # noqa: F401
from types import ModuleType
from typing import cast

import numpy  # noqa: F401
import onnxruntime  # noqa: F401

_LINUX: dict[ModuleType, str] = {
    os: "memfd_create MFD_CLOEXEC MFD_ALLOW_SEALING posix_fallocate posix_fadvise sched_getaffinity "
    "sched_setaffinity fdatasync getrandom eventfd splice copy_file_range O_TMPFILE O_PATH O_DIRECT "
    "O_NOATIME pidfd_open listxattr getxattr setxattr setresuid setresgid getresuid pipe2 SCHED_IDLE "
    "SCHED_BATCH sched_setscheduler",
    mmap: "MAP_POPULATE MAP_NORESERVE MAP_STACK MADV_DONTDUMP MADV_DONTFORK MADV_HUGEPAGE",
    socket: "SO_PEERCRED",
}
_POSIX: dict[ModuleType, str] = {
    os: "geteuid getuid getegid getgid O_NOFOLLOW O_DIRECTORY O_NONBLOCK O_CLOEXEC O_SYNC register_at_fork "
    "fork statvfs pread pwrite preadv pwritev mkfifo chown fchown setsid killpg WNOHANG getpriority "
    "setpriority sync uname",
    mmap: "MAP_PRIVATE MAP_ANONYMOUS MAP_SHARED PROT_READ PROT_WRITE",
    signal: "SIGHUP SIGKILL SIGALRM SIGUSR1 SIGPIPE pthread_sigmask",
    socket: "AF_UNIX send_fds recv_fds",
}
_MODULES = ("fcntl", "grp", "pwd", "resource", "termios")


def take(system: str) -> None:
    """Leaves what Python has on this system, of what could matter here."""
    for module, names in (*_LINUX.items(), *(_POSIX.items() if system == "win32" else ())):
        for name in names.split():
            vars(module).pop(name, None)
    if system == "win32":
        for name in _MODULES:
            # Where there is None, importing fails as if there were nothing.
            cast(dict[str, ModuleType | None], sys.modules)[name] = None
    sys.platform = system


if __name__ == "__main__":
    # What tracks shared memory is asked at the end, when this has gone.
    multiprocessing.resource_tracker.ensure_running = lambda: None
    _, which, *sys.argv = sys.argv
    take(which)
    runpy.run_path(sys.argv[0], run_name="__main__")
