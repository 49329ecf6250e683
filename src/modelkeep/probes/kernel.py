"""The kernel: lockdown, signed modules, measurements, and what it lets one process do to another."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator

from modelkeep.posture.finding import Finding, claimed
from modelkeep.probes.system import System

_CHOSEN = re.compile(r"\[(\w+)\]")


def findings(system: System) -> Iterator[Finding]:
    """Yields what the kernel enforces."""
    lockdown = _CHOSEN.search(system.text("sys/kernel/security/lockdown") or "")
    mode = lockdown[1] if lockdown else "unknown"
    yield claimed("kernel-lockdown", mode in ("integrity", "confidentiality"), f"mode {mode}")
    signed = system.text("sys/module/module/parameters/sig_enforce")
    yield claimed("signed-modules", signed == "Y", f"sig_enforce {signed or 'unknown'}")
    yield _measurements(system)
    yield _tracing(system)
    yield _core_dumps(system)


def _measurements(system: System) -> Finding:
    count = system.text("sys/kernel/security/ima/runtime_measurements_count") or "0"
    # The first entry is the boot's own; more come with a policy only.
    measures = count.isdigit() and int(count) > 1
    return claimed("ima", measures, f"{count} files were measured")


def _tracing(system: System) -> Finding:
    scope = system.text("proc/sys/kernel/yama/ptrace_scope") or "unknown"
    return claimed("ptrace-limited", scope in ("1", "2", "3"), f"ptrace_scope {scope}")


def _core_dumps(system: System) -> Finding:
    pattern = system.text("proc/sys/kernel/core_pattern") or ""
    if pattern.startswith("|"):
        # Programs that take dumps are handed them whatever the limit is.
        return claimed("no-core-dumps", False, f"dumps go to {pattern[1:80]}")
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    return claimed("no-core-dumps", hard == 0, f"limit {'none' if hard < 0 else hard}")
