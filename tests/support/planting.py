"""Somebody who writes installations without being the device."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelkeep.bundle.access import Access, unlock_bundle
from modelkeep.bundle.install_key import payload_key
from modelkeep.bundle.install_record import InstallHeader, InstallRecord, wrapping_context
from modelkeep.bundle.installation import Installation
from modelkeep.container import names
from modelkeep.container.order import INSTALLATION, archive_order
from modelkeep.container.slots import lay_out, write_frame
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.recipient_text import parse_recipient
from modelkeep.manifest import Manifest
from modelkeep.payload.cipher import StreamCipher, installed_associated_data, new_header
from modelkeep.payload.segments import Extent
from modelkeep.payload.source import MemorySource
from modelkeep.payload.stream import encrypt
from modelkeep.storage import write_at
from support.workshop import Workshop

Wrap = Callable[[bytearray, bytes], bytes]

INSTALL_KEY = bytes(range(32))
SECRET = bytes(range(32, 64))


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    """Writes an installation of `files`, well-formed as an archive."""
    files = {name: files[name] for name in sorted(files, key=lambda name: archive_order(name, INSTALLATION))}
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    slots = lay_out({name: len(content) for name, content in files.items()})
    write_frame(descriptor, slots)
    for name, content in files.items():
        write_at(descriptor, memoryview(content), slots[name].data_offset)
    os.close(descriptor)


def files_of(path: Path) -> dict[str, bytes]:
    """Returns the files of an installation."""
    with Installation(path) as installation:
        return {name: installation.read(name) for name in installation.sizes}


def edit_header(path: Path, **changes: Any) -> None:
    """Replaces members of the install header and keeps the wrapped key."""
    files = files_of(path)
    record = InstallRecord.from_bytes(files[names.INSTALL])
    header = record.header._replace(**changes)
    files[names.INSTALL] = InstallRecord(header, header.to_bytes(), record.wrapped).to_bytes()
    write_archive(path, files)


class Planter:
    """Knows the device's public key and a signed bundle, and wants the device to run something else."""

    def __init__(self, workshop: Workshop, bundle: Path) -> None:
        self._workshop = workshop
        self.public = parse_recipient(workshop.device.with_suffix(".pub").read_text())
        with unlock_bundle(bundle, Access(workshop.identity(), workshop.verifier())) as opened:
            self._manifest = opened.manifest
            files = opened.verified.bundle
            self._signed = {name: files.read(name) for name in (names.MANIFEST, names.SIGNATURE)}
        self._header = InstallHeader(
            installation=os.urandom(16),
            manifest=hashlib.sha256(self._signed[names.MANIFEST]).digest(),
            model=self._manifest.model,
            epoch=self._manifest.epoch,
            suite=self._manifest.suite,
            constraints=Constraints(),
            device_id="pi-17",
        )

    def plant(self, wrap: Wrap) -> Path:
        """Writes an installation whose install key the planter chose, wrapped in the planter's way."""
        header_bytes = self._header.to_bytes()
        wrapped = wrap(bytearray(INSTALL_KEY), wrapping_context(header_bytes))
        files = {names.INSTALL: InstallRecord(self._header, header_bytes, wrapped).to_bytes(), **self._signed}
        for index, member in enumerate(self._manifest.members):
            files[names.payload(index)] = self._stream(index, member.size)
        target = self._workshop.folder / "planted.keep"
        write_archive(target, files)
        return target

    def _stream(self, index: int, size: int) -> bytes:
        return _stream(self._header, index, bytes(size), SECRET, self._manifest.leaf_algorithm)


class Exchanger:
    """Has the disk of a device, state included, and an installation on it; wants another model in it."""

    def __init__(self, installed: Path, state: Path) -> None:
        self._installed = installed
        self._files = files_of(installed)
        self.record = InstallRecord.from_bytes(self._files[names.INSTALL])
        self.context = wrapping_context(self.record.header_bytes)
        self._secret = secret_in(state, self.record.header.installation)

    def wrapped(self, wrapped: bytes) -> None:
        """Writes the installation with other wrapped bytes in its record."""
        header = self.record.header
        files = self._files | {
            names.INSTALL: InstallRecord(header, self.record.header_bytes, wrapped).to_bytes()
        }
        write_archive(self._installed, files)

    def plant(self, contents: list[bytes], wrap: Wrap) -> None:
        """Writes the installation with other `contents`, under a key that `wrap` wraps."""
        header, algorithm = (
            self.record.header,
            Manifest.from_bytes(self._files[names.MANIFEST]).leaf_algorithm,
        )
        for index, content in enumerate(contents):
            stream = _stream(header, index, content, self._secret, algorithm)
            self._files[names.payload(index)] = stream
        self.wrapped(wrap(bytearray(INSTALL_KEY), self.context))


def secret_in(state: Path, installation: bytes) -> bytes:
    """Returns the secret of an installation, which is nothing that a reader of the state lacks."""
    body = json.loads(base64.b64decode(json.loads(state.read_bytes())["body"]))
    (secret,) = (
        each["secret"]
        for model in body["models"]
        for each in model["installations"]
        if each["id"] == installation.hex()
    )
    return bytes.fromhex(secret)


def contents_of(bundle: Path, **options: Any) -> list[bytes]:
    """Returns the plaintext of every member of a bundle, the inner manifest first."""
    with unlock_bundle(bundle, Access(**options)) as opened:
        contents = [bytearray(member.size) for member in opened.manifest.members]
        for index, content in enumerate(contents):
            opened.decrypt(index, memoryview(content))
        return [bytes(content) for content in contents]


def _stream(header: InstallHeader, index: int, content: bytes, secret: bytes, algorithm: Any) -> bytes:
    with payload_key(bytearray(INSTALL_KEY), secret) as key:
        associated = installed_associated_data(header.suite, header.installation, index)
        cipher = StreamCipher(header.suite, key.view, associated, new_header())
    with tempfile.TemporaryFile() as file:
        extent = Extent(file.fileno(), 0, len(content))
        encrypt(MemorySource(memoryview(content)), extent, cipher, algorithm, whole_sha256=False)
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
