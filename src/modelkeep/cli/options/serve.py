"""The options of `modelkeep serve`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_any_model, add_isolation, add_trust_options


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="bundle, installation, or folder of slots")
    parser.add_argument(
        "--frigate", action="store_true", required=True, help="as a detector of Frigate, type: zmq"
    )
    parser.add_argument(
        "--endpoint",
        metavar="ADDRESS",
        help="where it is asked: ipc:///PATH (default: modelkeep-frigate.sock in $XDG_RUNTIME_DIR or /run), "
        "or tcp://127.0.0.1:PORT",
    )
    parser.add_argument(
        "--unsafe-network",
        action="store_true",
        help="let whoever reaches the port ask, from other machines, too",
    )
    parser.add_argument("-k", "--key", metavar="KEY", required=True, help="key of this device")
    add_trust_options(parser)
    add_any_model(parser)
    parser.add_argument("--entry", metavar="PATH[#FUNCTION]", help="which of the model's entries")
    parser.add_argument("--runtime", metavar="NAME", help="which runtime, where several could run the model")
    add_isolation(parser)
