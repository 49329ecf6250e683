"""What the process of a model gets from this one: settings of libraries, and where packages are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Passphrases, tokens and cloud keys lie in environments; these are names of settings alone.
_SETTINGS = frozenset({"LANG", "LD_LIBRARY_PATH", "PYTHONHOME", "TZ"})
_FAMILIES = (
    "LC_",
    "OMP_",
    "KMP_",
    "GOMP_",
    "MKL_",
    "DNNL_",
    "ONEDNN_",
    "OPENBLAS_",
    "TBB_",
    "MALLOC_",
    "GLIBC_",
)
_INSTALLED = ("*.dist-info", "*.egg-info")


def environment() -> dict[str, str]:
    """Returns the environment of the process."""
    kept = {name: value for name, value in os.environ.items() if _is_setting(name)}
    return kept | {
        "HOME": "/nonexistent",
        # No program can be started there. Without this, Python looks for compilers in usual places, to ask
        # them for libraries by way of a temporary file.
        "PATH": "",
        "ORT_DISABLE_TELEMETRY": os.environ.get("ORT_DISABLE_TELEMETRY", "1"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(packages()),
    }


def inherited() -> tuple[object, ...]:
    """Returns what a process gets from this one, if it is started now; one from before may have other."""
    import resource  # not there on every system that imports this

    kinds = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})
    limits = tuple(map(resource.getrlimit, kinds))
    users = (os.getresuid(), os.getresgid(), tuple(os.getgroups()))
    return (sys.executable, environment(), users, limits, _group())


def _group() -> bytes:
    """Returns the control group, which bounds memory and processor."""
    try:
        return Path("/proc/self/cgroup").read_bytes()
    except OSError:
        return b""


def packages() -> Iterator[str]:
    """Yields where packages are imported from.

    The working directory and the folder of the program, where keys and data lie, are among them only if
    packages are installed there, this one included.
    """
    own = {Path.cwd(), _program_folder()} - {Path(__file__).parents[2]}
    for entry in filter(None, sys.path):
        path = Path(entry).resolve()
        if path not in own or any(next(path.glob(pattern), None) for pattern in _INSTALLED):
            yield str(path)


def _program_folder() -> Path:
    program = getattr(sys.modules.get("__main__"), "__file__", None) or sys.argv[0]
    return Path(program).resolve().parent


def _is_setting(name: str) -> bool:
    return name in _SETTINGS or name.startswith(_FAMILIES)
