"""The options of `modelkeep install`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_any_model, add_key_options, add_trust_options
from modelkeep.cli.options.shared import add_force

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelkeep.cli.options.shared import Options


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "bundle", metavar="SOURCE", help="the bundle: a file, a folder, an address, or - for standard input"
    )
    add_key_options(parser, "key of this device")
    add_trust_options(parser)
    add_any_model(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="installation to write, or folder of slots"
    )
    add_force(parser)
    add_download(parser.add_argument_group("downloads"))


def add_download(group: Options) -> None:
    """Adds how servers are reached, and what that may cost."""
    group.add_argument(
        "--mirror", metavar="URL", action="append", default=[], help="where else the bundle is"
    )
    group.add_argument("--tls-roots", metavar="FILE", help="PEM: who vouches for servers, not the system's")
    group.add_argument("--client-certificate", metavar="FILE", help="PEM: certificate shown to servers")
    group.add_argument("--client-key", metavar="FILE", help="PEM: its private key, where it is not beside it")
    group.add_argument("--proxy", metavar="URL", help="instead of what https_proxy and its like name")
    group.add_argument("--bandwidth", metavar="BYTES", type=int, help="at most so many bytes a second")
    group.add_argument("--slowest", metavar="BYTES", type=int, help="at least so many (default: 1024)")
    group.add_argument("--deadline", metavar="SECONDS", type=float, help="for all of it (default: a day)")
