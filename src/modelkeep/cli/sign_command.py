"""`modelkeep sign`: sign a plain file as `openssl dgst -sha256 -sign` does."""

from __future__ import annotations

import argparse

from modelkeep.cli import objects as options
from modelkeep.cli.output import report, say
from modelkeep.storage import write_file
from modelkeep.trust import plain, private_key


def run(arguments: argparse.Namespace) -> None:
    """Writes a detached signature."""
    address = options.key_file(arguments.signer)
    with private_key.unlocking(address, options.passphrase(arguments)) as (path, passphrase):
        signature = plain.sign(arguments.file, path, passphrase)
    target = arguments.output or f"{arguments.file}.sig"
    write_file(target, signature, force=arguments.force)
    say(f"signed {arguments.file}: {target}")
    report(arguments, path=target, source=arguments.file, key=arguments.signer)
