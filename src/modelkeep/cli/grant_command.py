"""`modelkeep grant`: give a sealed model to more devices."""

from __future__ import annotations

import argparse

from modelkeep.cli import arguments as options
from modelkeep.cli.output import say
from modelkeep.granting import grant
from modelkeep.keys.identity import Identity


def run(arguments: argparse.Namespace) -> None:
    """Issues grants and appends them to the bundle's grants file."""
    checked = bool(arguments.trust) or arguments.unsafe_unsigned
    with Identity(arguments.key) as identity:
        target = grant(
            arguments.bundle,
            identity=identity,
            to=arguments.recipient,
            admins=arguments.admin,
            constraints=options.constraints(arguments),
            verifier=options.verifier(arguments) if checked else None,
            grant_file=arguments.grant,
            grant_signer=options.grant_signer(arguments),
            output=arguments.output,
        )
    say(f"granted, in {target}")
