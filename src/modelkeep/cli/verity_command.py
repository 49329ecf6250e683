"""`modelkeep verity`: the digests by which a kernel checks images and files, signed."""

from __future__ import annotations

import argparse
from uuid import UUID

from modelkeep.cli import objects as options
from modelkeep.cli.output import print_json, say, show
from modelkeep.errors import UsageError
from modelkeep.trust.signers import open_signer
from modelkeep.verity.signing import check_file, sign_file, statement_path, tree_path
from modelkeep.verity.statement import VerityStatement


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    {"format": _format, "verify": _verify}[arguments.action](arguments)


def _format(arguments: argparse.Namespace) -> None:
    signer = open_signer(arguments.signer, passphrase=options.passphrase(arguments))
    salt, uuid = _salt(arguments.salt), _uuid(arguments.uuid)
    statement = sign_file(arguments.file, signer, salt=salt, uuid=uuid, force=arguments.force)
    _show(arguments, statement)
    if statement.image is None:
        say(f"signed for fs-verity alone: {statement_path(arguments.file)}; images have whole blocks")
    else:
        say(f"signed: {statement_path(arguments.file)}; hash area: {tree_path(arguments.file)}")


def _verify(arguments: argparse.Namespace) -> None:
    checked = check_file(arguments.file, arguments.trust)
    _show(arguments, checked.statement, by_kernel=checked.by_kernel)
    kernel = "" if checked.by_kernel else "; the kernel does not check it when it is read (fsverity enable)"
    say(f"ok: {arguments.file}{kernel}")


def _show(arguments: argparse.Namespace, statement: VerityStatement, **more: object) -> None:
    members = {"fs_verity": f"sha256:{statement.digest.hex()}"}
    if (image := statement.image) is not None:
        members |= {"root_hash": image.root_hash.hex(), "salt": image.salt.hex(), "uuid": str(image.uuid)}
    if arguments.json:
        print_json({"path": arguments.file, **members, **more})
        return
    for name, value in members.items():
        show(f"{name:10} {value}")


def _salt(text: str | None) -> bytes | None:
    try:
        return None if text is None else bytes.fromhex(text)
    except ValueError:
        raise UsageError("--salt takes hexadecimal digits") from None


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise UsageError("--uuid takes a UUID") from None
