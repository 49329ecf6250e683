"""The options of `modelkeep update`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.install import add_download
from modelkeep.cli.options.opening import add_any_model, add_isolation, add_trust_options

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelkeep.cli.options.shared import Options


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("bundle", metavar="FOLDER", help="folder of slots")
    parser.add_argument(
        "--repository", metavar="PLACE", required=True, help="its address, a folder, or file: and a folder"
    )
    parser.add_argument(
        "--root", metavar="FILE", required=True, help="the repository's root, as the device was given it"
    )
    parser.add_argument("-k", "--key", metavar="KEY", required=True, help="key of this device")
    add_trust_options(parser)
    add_any_model(parser)
    parser.add_argument(
        "--offline", action=argparse.BooleanOptionalAction, help="it is a copy that was carried; folders are"
    )
    parser.add_argument("--check", action="store_true", help="say what an update would do; fetch no bundle")
    parser.add_argument("--no-trial", action="store_true", help="let the release wait for `modelkeep trial`")
    add_isolation(parser)
    parser.add_argument("--runtime", metavar="NAME", help="which runtime, where several could run the model")
    add_download(parser.add_argument_group("downloads"))
    _add_service(parser.add_argument_group("service"))


def _add_service(group: Options) -> None:
    group.add_argument("--daemon", action="store_true", help="look again and again, behind everybody else")
    group.add_argument(
        "--interval", metavar="SECONDS", type=float, help="between two looks, where the repository names none"
    )
    group.add_argument(
        "--window", metavar="HH:MM-HH:MM", help="fetch during these hours of the day alone, in local time"
    )
    group.add_argument("--status", metavar="FILE", help="say there, as JSON, what came of the last look")
