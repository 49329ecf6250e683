"""The disks of a guest: root, models, data, and the boot image that says which root it is."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from modelkeep.trust.signer import Signer
from modelkeep.verity.signing import sign_file, tree_path
from support.emulated.pieces import REPOSITORY, Pieces, call

GUEST = Path(__file__).parent / "guest"
_MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "dm-verity", "ext4", "efivarfs")
_STUB = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
# Where the stub's parts are put in memory; they only must not overlap.
_PLACES = {".osrel": 0x20000, ".cmdline": 0x30000, ".linux": 0x2000000, ".initrd": 0x4000000}


@dataclass(frozen=True, slots=True)
class VerityImage:
    """A file system behind dm-verity.

    Attributes:
        disk: the file system.
        tree: its hash area.
        root_hash: what a kernel holds it to, in hexadecimal.
    """

    disk: Path
    tree: Path
    root_hash: str


@dataclass(frozen=True, slots=True)
class BootSigner:
    """Who signs boot images.

    Attributes:
        key: private key, PEM.
        certificate: PEM.
    """

    key: Path
    certificate: Path


def firmwares_signer(folder: Path) -> BootSigner:
    """Returns whom the firmware believes: Debian's key for tests, which everybody has."""
    source = Path("/usr/share/ovmf/PkKek-1-snakeoil.key")
    call("openssl", "pkey", "-in", source, "-passin", "pass:snakeoil", "-out", folder / "firmware.key")
    return BootSigner(folder / "firmware.key", source.with_suffix(".pem"))


def another_signer(folder: Path) -> BootSigner:
    """Returns somebody of whom the firmware knows nothing."""
    signer = BootSigner(folder / "another.key", folder / "another.pem")
    subject = ("-subj", "/CN=another signer", "-days", "30")
    call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", *subject,
         "-keyout", signer.key, "-out", signer.certificate)  # fmt: skip
    return signer


def file_system(folder: Path | None, image: Path, megabytes: int) -> Path:
    """Writes an ext4 file system with the content of a folder, or empty, into `image`; returns it."""
    content = () if folder is None else ("-d", folder)
    # dm-verity has blocks of 4096 bytes, and the kernel mounts no smaller ones from it.
    options = ("-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-E", "root_owner=0:0")
    call("mke2fs", *options, *content, image, f"{megabytes}M")
    return image


def behind_verity(image: Path, signer: Signer) -> VerityImage:
    """Writes the hash area of an image and its signed statement, beside it."""
    statement = sign_file(image, signer)
    assert statement.image is not None
    return VerityImage(image, tree_path(image), statement.image.root_hash.hex())


def root_folder(pieces: Pieces) -> Path:
    """Returns the folder of the guest's root, with this tree's modelkeep in it."""
    root = pieces.debian()
    site = root / "opt" / "site"
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(pieces.packages(), site, copy_function=os.link, symlinks=True)
    shutil.rmtree(site / "modelkeep")
    shutil.copytree(REPOSITORY / "src" / "modelkeep", site / "modelkeep")
    call(sys.executable, "-m", "compileall", "-q", site / "modelkeep")
    shutil.copy(GUEST / "agent.py", root / "opt" / "agent.py")
    return root


def boot_image(pieces: Pieces, root_hash: str, folder: Path) -> Path:
    """Returns an unsigned boot image: kernel, first programs, and a command line with the root's hash."""
    (kernel,) = (pieces.kernel() / "boot").glob("vmlinuz-*")
    # On a busy machine the emulated timer is late, which the kernel takes for a broken one.
    command_line = f"console=ttyS0 quiet loglevel=4 panic=-1 no_timer_check root_hash={root_hash}"
    (folder / "cmdline").write_text(command_line)
    (folder / "osrel").write_text("ID=modelkeep\nVERSION_ID=1\n")
    parts = {
        ".osrel": folder / "osrel",
        ".cmdline": folder / "cmdline",
        ".linux": kernel,
        ".initrd": _first_programs(pieces, kernel.name.removeprefix("vmlinuz-"), folder),
    }
    arguments: list[str] = []
    for name, part in parts.items():
        arguments += ["--add-section", f"{name}={part}", "--change-section-vma", f"{name}={_PLACES[name]:#x}"]
    call("objcopy", *arguments, _STUB, folder / "boot.efi")
    return folder / "boot.efi"


def _first_programs(pieces: Pieces, version: str, folder: Path) -> Path:
    tree = folder / "initrd"
    for name in ("bin", "sbin", "proc", "sys", "dev", "new"):
        (tree / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", tree / "bin" / "busybox")
    _copy_program(Path(shutil.which("veritysetup") or ""), tree)
    _copy_modules(pieces.kernel(), version, tree)
    shutil.copy(GUEST / "init", tree / "init")
    (tree / "init").chmod(0o755)
    packed = folder / "initrd.img"
    call("sh", "-c", f"find . | cpio -o -H newc --quiet | gzip -1 > '{packed}'", cwd=tree)
    return packed


def _copy_program(program: Path, tree: Path) -> None:
    shutil.copy(program, tree / "sbin")
    libraries = (word for word in call("ldd", program).split() if word.startswith("/"))
    for library in libraries:
        target = tree / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def _copy_modules(kernel: Path, version: str, tree: Path) -> None:
    call("depmod", "-b", kernel, version)
    lines = call("modprobe", "-d", kernel, "-S", version, "--show-depends", "-a", *_MODULES).splitlines()
    for line in lines:
        if line.startswith("insmod "):
            source = Path(line.split()[1])
            target = tree / source.relative_to(kernel)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    for name in ("modules.order", "modules.builtin"):
        shutil.copy(kernel / "lib" / "modules" / version / name, tree / "lib" / "modules" / version)
    call("depmod", "-b", tree, version)


def boot_disk(image: Path, disk: Path) -> Path:
    """Writes a disk from which firmware starts a boot image; returns `disk`."""
    with disk.open("wb") as file:
        file.truncate(96 * 2**20)
    call("mformat", "-i", disk, "-F", "::")
    call("mmd", "-i", disk, "::/EFI", "::/EFI/BOOT")
    call("mcopy", "-i", disk, image, "::/EFI/BOOT/BOOTX64.EFI")
    return disk


def sign(image: Path, by: BootSigner, signed: Path) -> Path:
    """Writes a boot image with a signature; returns where."""
    call("sbsign", "--key", by.key, "--cert", by.certificate, "--output", signed, image)
    return signed
