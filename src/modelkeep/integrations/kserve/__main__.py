"""Serves a sealed model: ``python -m modelkeep.integrations.kserve --model_name NAME --model_dir FOLDER``.

Whose key and whom to trust come from the settings. Other options are those of KServe's own runtimes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from modelkeep.errors import RuntimeMissingError, UsageError
from modelkeep.integrations.ending import ends_with_words
from modelkeep.integrations.opening import open_configured

_MOUNTED = "/mnt/models"


def main() -> None:
    """Opens the model, and answers until the process is told to end."""
    with ends_with_words():
        try:
            from kserve import model_server
        except ImportError as missing:
            raise RuntimeMissingError(
                "kserve is not installed", hint="pip install 'modelkeep[kserve]'"
            ) from missing
        _serve(_parser(model_server.parser).parse_args())


def _parser(known: argparse.ArgumentParser) -> argparse.ArgumentParser:
    from modelkeep.integrations.kserve.server import LARGEST_BODY

    parser = argparse.ArgumentParser(prog="modelkeep.integrations.kserve", parents=[known])
    parser.add_argument("--model_dir", default=_MOUNTED, help="the folder with the sealed model, or the file")
    parser.add_argument("--grants", help="file with the grant, where the sealed model has it not")
    parser.add_argument("--isolated", action="store_true", help="run the model in a process of its own")
    parser.add_argument("--largest_body", type=int, default=LARGEST_BODY, help="bytes of a request")
    return parser


def _serve(arguments: argparse.Namespace) -> None:
    from modelkeep.integrations.kserve.model import SealedModel
    from modelkeep.integrations.kserve.server import SealedServer

    if arguments.workers != 1:
        raise UsageError("a model is open in one process", hint="run several servers")
    isolation = "process" if arguments.isolated else "in-process"
    bundle = sealed_in(Path(arguments.model_dir))
    with open_configured(bundle, grant_file=arguments.grants, isolation=isolation) as session:
        SealedServer().serve(SealedModel(arguments.model_name, session), arguments.largest_body)


def sealed_in(place: Path) -> Path:
    """Returns the only sealed model in a folder.

    Raises:
        UsageError: there is none, or there are several.
    """
    if place.is_file():
        return place
    found = sorted(place.glob("*.keep"))
    if len(found) != 1:
        raise UsageError(f"{place}: holds {len(found)} files *.keep", hint="keep one sealed model there")
    return found[0]


if __name__ == "__main__":
    main()
