"""`modelkeep grant`: give a sealed model to more devices."""

from __future__ import annotations

import argparse

from modelkeep.cli import arguments as options
from modelkeep.cli.output import say
from modelkeep.granting import grant
from modelkeep.keys.identity import Identity
from modelkeep.trust.signer import Signer


def run(arguments: argparse.Namespace) -> None:
    """Issues grants and appends them to the bundle's grants file."""
    checked = bool(arguments.trust) or arguments.unsafe_unsigned
    signer = None if arguments.grant_signer is None else Signer.from_pem(arguments.grant_signer)
    with Identity(arguments.key) as identity:
        target = grant(
            arguments.bundle,
            identity=identity,
            to=arguments.recipient,
            admins=arguments.admin,
            constraints=options.constraints(arguments),
            verifier=options.verifier(arguments) if checked else None,
            grant_file=arguments.grant,
            grant_signer=signer,
            output=arguments.output,
        )
    say(f"granted, in {target}")
