"""Somebody who writes installations without being the device."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelkeep.bundle import names
from modelkeep.bundle.access import unlocked_bundle
from modelkeep.bundle.install_key import payload_key
from modelkeep.bundle.install_record import InstallHeader, InstallRecord, wrapping_context
from modelkeep.bundle.installation import Installation
from modelkeep.bundle.slots import lay_out, write_frame
from modelkeep.keys.constraints import Constraints
from modelkeep.keys.recipients import parse_recipient
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
    """Writes a well-formed archive of `files` in their order."""
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
    header = replace(record.header, **changes)
    files[names.INSTALL] = InstallRecord(header, header.to_bytes(), record.wrapped).to_bytes()
    write_archive(path, files)


class Planter:
    """Knows the device's public key and a signed bundle, and wants the device to run something else."""

    def __init__(self, workshop: Workshop, bundle: Path) -> None:
        self._workshop = workshop
        self.public = parse_recipient(workshop.device.with_suffix(".pub").read_text())
        with unlocked_bundle(bundle, identity=workshop.identity(), verifier=workshop.verifier()) as opened:
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
        path = self._workshop.folder / f"planted-{index}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        suite = self._header.suite
        with payload_key(bytearray(INSTALL_KEY), SECRET) as key:
            associated = installed_associated_data(suite, self._header.installation, index)
            cipher = StreamCipher(suite, key.view, associated, new_header())
        source = MemorySource(memoryview(bytes(size)))
        algorithm = self._manifest.leaf_algorithm
        encrypt(source, Extent(descriptor, 0, size), cipher, algorithm, whole_sha256=False)
        os.close(descriptor)
        return path.read_bytes()
