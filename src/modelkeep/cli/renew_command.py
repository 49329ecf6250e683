"""`modelkeep renew`: let a newer grant move the end of what is installed."""

from __future__ import annotations

import argparse

from modelkeep.cli import objects as options
from modelkeep.cli.output import report, say, time_of
from modelkeep.renewing import renew


def run(arguments: argparse.Namespace) -> None:
    """Writes the lease and says until when it lasts."""
    end = renew(
        arguments.installation,
        identity=arguments.key,
        verifier=options.verifier(arguments),
        grant_file=arguments.grant,
    )
    say(f"{arguments.installation} opens until {time_of(end)}")
    report(arguments, path=arguments.installation, not_after=end)
