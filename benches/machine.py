"""Where a measurement was taken: processor, memory, kernel, versions, and what else was running."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path

_FLAGS = (
    "aes",
    "vaes",
    "pclmulqdq",
    "vpclmulqdq",
    "avx2",
    "avx512f",
    "sha_ni",
    "pmull",
    "sha2",
    "hypervisor",
)
_PACKAGES = ("modelkeep", "cryptography", "blake3", "tink", "pyrage", "model-signing", "onnxruntime", "numpy")
_PROGRAMS = (("age", "--version"), ("openssl", "version"), ("cat", "--version"))


def facts(scratch: Path) -> dict[str, str]:
    """Returns what a reader needs to compare figures with those of another machine."""
    model, flags = _processor()
    return {
        "processor": f"{model}, {len(os.sched_getaffinity(0))} processors available",
        "instructions": " ".join(flags) or "not known",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB",
        "transparent huge pages": _huge_pages(),
        "file system": _file_system(scratch),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(_packages()),
        "programs": ", ".join(filter(None, map(_version, _PROGRAMS))),
    }


def _processor() -> tuple[str, list[str]]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "not known", []
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    present = fields.get("flags", fields.get("Features", "")).split()
    return fields.get("model name", platform.machine()), [flag for flag in _FLAGS if flag in present]


def _huge_pages() -> str:
    try:
        text = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return "none"
    return text.partition("[")[2].partition("]")[0]


def _file_system(folder: Path) -> str:
    best, kind = "", "not known"
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return kind
    for mount in mounts:
        if folder.is_relative_to(mount[1]) and len(mount[1]) >= len(best):
            best, kind = mount[1], mount[2]
    return kind


def _packages() -> list[str]:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return found


def _version(words: tuple[str, str]) -> str:
    if shutil.which(words[0]) is None:
        return f"no {words[0]}"
    output = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    line = (output.splitlines() or [""])[0]
    return line if line.lower().startswith(words[0]) else f"{words[0]} {line}"


class Busyness:
    """Tells how much of the machine others used since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._others = _busy_seconds() - _own_seconds()

    def others(self) -> float:
        """Returns the share of all processors, 0 to 1, that other programs were busy with."""
        passed = (time.monotonic() - self._start) * (os.cpu_count() or 1)
        return max(0.0, (_busy_seconds() - _own_seconds() - self._others) / passed)


def _busy_seconds() -> float:
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, fields)
    ticks = user + nice + system + interrupts + soft_interrupts + stolen
    return ticks / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
