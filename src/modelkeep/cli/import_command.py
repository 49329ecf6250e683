"""`modelkeep import`: seal a model out of the encrypted files of the usual tutorial."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path

from modelkeep.cli import objects as options
from modelkeep.cli.seal_command import save
from modelkeep.cli.suite_hint import advise_suite
from modelkeep.errors import UsageError
from modelkeep.memory import wipe
from modelkeep.migration import derive_key, legacy_model, read_key
from modelkeep.sealing import seal


def run(arguments: argparse.Namespace) -> None:
    """Decrypts the old file in memory and seals the model inside."""
    key = _old_key(arguments)
    try:
        with legacy_model(
            arguments.file,
            key,
            arguments.name,
            associated=os.fsencode(arguments.old_associated),
            format=arguments.format,
            sha256=_expected(arguments),
        ) as model:
            draft = seal(
                model,
                model=options.model_id(arguments, arguments.name),
                **options.sealing_options(arguments),
            )
            advise_suite(arguments)
            save(arguments, draft, Path(arguments.output), arguments.file)
    finally:
        wipe(key)


def _expected(arguments: argparse.Namespace) -> bytes | None:
    if arguments.unsafe_unverified == (arguments.sha256 is not None):
        raise UsageError(
            "whoever had the old key could have made this file, and you are about to sign what is in it",
            hint="pass --sha256 of the model inside, or --unsafe-unverified to sign whatever decrypts",
        )
    if arguments.sha256 is None:
        return None
    try:
        digest = bytes.fromhex(arguments.sha256)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise UsageError(f"not a SHA-256: {arguments.sha256[:80]!r}", hint="64 hexadecimal digits")
    return digest


def _old_key(arguments: argparse.Namespace) -> bytearray:
    if arguments.old_key is not None:
        return read_key(arguments.old_key)
    if arguments.old_device_id is None:
        raise UsageError("a derived key needs the device id", hint="pass --old-device-id ID")
    master = read_key(arguments.old_master)
    try:
        return derive_key(master, arguments.old_device_id, os.fsencode(arguments.old_info))
    finally:
        wipe(master)
