"""Processes, looked at from the outside."""

from __future__ import annotations

import os
from pathlib import Path

_FORK_SERVER = b"modelkeep.isolation.forking"


def children(pid: int | None = None) -> set[int]:
    """Returns the ids of the children of a process, by default of this one, and of its fork servers."""
    found = _children(pid or os.getpid())
    servers = fork_servers(pid)
    return (found - servers).union(*map(_running, servers))


def fork_servers(pid: int | None = None) -> set[int]:
    """Returns the ids of the fork servers of a process, by default of this one."""
    return {child for child in _children(pid or os.getpid()) if _FORK_SERVER in command(child)}


def _children(pid: int) -> set[int]:
    tasks = Path("/proc", str(pid), "task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def _running(server: int) -> set[int]:
    """Returns the copies that a fork server made and that have not ended."""
    return {child for child in _children(server) if status(child, "State")[0] not in "ZX"}


def command(pid: int) -> bytes:
    """Returns what a process runs; one that is just becoming a program has nothing to show for a moment."""
    try:
        command = b""
        while not command and status(pid, "State")[0] not in "ZX":
            command = Path("/proc", str(pid), "cmdline").read_bytes()
        return command
    except OSError:
        return b""


def threads(pid: int) -> int:
    """Returns how many threads a process has."""
    return len(list(Path("/proc", str(pid), "task").iterdir()))


def status(pid: int, field: str) -> str:
    """Returns a field of the status that the kernel shows of a process."""
    lines = Path("/proc", str(pid), "status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{field}:"))
