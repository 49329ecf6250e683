"""The options of every command that opens a bundle: with which key, and whom to trust."""

from __future__ import annotations

from modelkeep.cli.options.shared import add_time_authority

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelkeep.cli.options.shared import Options


def add_key_options(parser: Options, what: str, *, required: bool = True) -> None:
    """Adds the key of a device and where its grant is.

    Args:
        parser: gets the options.
        what: whose key it is, in words.
        required: whether nothing goes without a key.
    """
    parser.add_argument(
        "-k", "--key", metavar="KEY", required=required, help=f"{what}: file:PATH, fleet:PATH, ..."
    )
    parser.add_argument("--grant", metavar="FILE", help="look for the grant in this file")


def add_isolation(parser: Options) -> None:
    """Adds the choice of the process that the model runs in."""
    parser.add_argument(
        "--isolated", action="store_true", help="run the model in a hardened process of its own"
    )


def add_any_model(parser: Options) -> None:
    """Adds the way to say that every model will do, where the model has to be named."""
    parser.add_argument("--any-model", action="store_true", help="take every model of this publisher")


def add_trust_options(parser: Options) -> None:
    """Adds whom and what to accept; `arguments.verifier` makes a verifier of it."""
    parser.add_argument(
        "-t",
        "--trust",
        metavar="PEM",
        action="append",
        default=[],
        help="publisher's public key or root certificate",
    )
    parser.add_argument(
        "--subject",
        metavar="KIND=NAME",
        help="whose certificate under that root: CN=, EMAIL=, DNS=, URI= or DN=; any: everybody's",
    )
    parser.add_argument(
        "--trust-root",
        metavar="FILE",
        action="append",
        default=[],
        help="public key that signs trust files, or the roots document; -t is then the trust file",
    )
    parser.add_argument(
        "--trust-threshold", metavar="N", type=int, default=1, help="how many of them must have signed"
    )
    parser.add_argument(
        "--minimum-trust-number", metavar="N", type=int, default=0, help="refuse older trust files"
    )
    parser.add_argument(
        "--second-trust", metavar="PEM", help="ML-DSA-65 public key: demand its second signature as well"
    )
    add_time_authority(parser)
    parser.add_argument("--model-id", metavar="ID", help="refuse every other model of this publisher")
    parser.add_argument("--minimum-epoch", metavar="N", type=int, default=0, help="refuse older releases")
    parser.add_argument("--maximum-age", metavar="DAYS", type=float, help="refuse releases sealed longer ago")
    parser.add_argument(
        "--require-installed", action="store_true", help="open installations only, never a bundle"
    )
    parser.add_argument("--unsafe-unsigned", action="store_true", help="do not check who made it")
