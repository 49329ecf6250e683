"""What takes minutes to fetch and is kept between runs: Debian, a kernel, the packages modelkeep needs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.needs import missing, require

REPOSITORY = Path(__file__).parents[3]
SUITE = "bookworm"
# The interpreter of that suite: what is compiled for another one does not run in the guest.
INTERPRETER = (3, 11)
PACKAGES = (
    "python3",
    "libtss2-esys-3.0.2-0",
    "libtss2-tctildr0",
    "libtss2-tcti-device0",
    "tpm2-tools",
    "cryptsetup-bin",
)
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "debootstrap": "debootstrap",
    "sbsign": "sbsigntool",
    "mcopy": "mtools",
    "cpio": "cpio",
    "objcopy": "binutils",
    "mke2fs": "e2fsprogs",
    "busybox": "busybox-static",
    "veritysetup": "cryptsetup-bin",
    "modprobe": "kmod",
}


class Pieces:
    """The pieces of a guest, in the account's cache, each named after what it is made from."""

    def __init__(self) -> None:
        _require_all()
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        self._folder = cache / "modelkeep-emulated"
        self._folder.mkdir(parents=True, exist_ok=True)

    def debian(self) -> Path:
        """Returns the folder of a minimal Debian."""
        return self._kept("debian", repr((SUITE, PACKAGES)).encode(), _debootstrap)

    def packages(self) -> Path:
        """Returns the folder of the Python packages, modelkeep's metadata among them."""
        return self._kept("site", (REPOSITORY / "pyproject.toml").read_bytes(), _install_packages)

    def kernel(self) -> Path:
        """Returns the folder of Debian's kernel: `boot/vmlinuz-*` and `lib/modules`."""
        return self._kept("kernel", _kernel_package().encode(), _unpack_kernel)

    def _kept(self, name: str, made_from: bytes, make: Callable[[Path], None]) -> Path:
        kept = self._folder / f"{name}-{hashlib.sha256(made_from).hexdigest()[:16]}"
        made = kept.with_suffix(".part")
        if not kept.exists():
            shutil.rmtree(made, ignore_errors=True)
            make(made)
            made.rename(kept)
        return kept


def _require_all() -> None:
    for program, package in PROGRAMS.items():
        require(program, package)
    if os.geteuid() != 0:
        missing("not root, which debootstrap needs")
    if sys.version_info[:2] != INTERPRETER:
        missing(f"this is not Python {'.'.join(map(str, INTERPRETER))}, the guest's")


def _debootstrap(folder: Path) -> None:
    # What it mounts goes with its own view of the mounts, should it be stopped half way.
    command = [
        "unshare",
        "--mount",
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        SUITE,
    ]
    call(*command, folder)
    for unused in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt"):
        shutil.rmtree(folder / unused)
    for mounted in ("data", "models", "flipped"):
        (folder / mounted).mkdir()


def _install_packages(folder: Path) -> None:
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", folder)
    call(*pip, f"{REPOSITORY}[onnx,tpm2]")
    call(sys.executable, "-m", "compileall", "-q", folder)


def _unpack_kernel(folder: Path) -> None:
    folder.mkdir()
    call("apt-get", "download", "-qq", _kernel_package(), cwd=folder)
    (archive,) = folder.glob("*.deb")
    call("dpkg-deb", "-x", archive, folder)
    archive.unlink()


def _kernel_package() -> str:
    return call("apt-cache", "depends", "linux-image-cloud-amd64").split("Depends: ")[1].split()[0]


def call(*command: str | Path, cwd: Path | None = None) -> str:
    """Returns what a program prints; fails with what it says when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stderr[-2000:]}"
    return done.stdout
