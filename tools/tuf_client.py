"""Our TUF client as tuf-conformance calls clients; see its CLIENT-CLI.md, and CONTRIBUTING.md.

tuf_client.py --metadata-dir D init ROOT
tuf_client.py --metadata-dir D --metadata-url U refresh
tuf_client.py --metadata-dir D --metadata-url U --target-name T --target-base-url B --target-dir F download
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from modelkeep.channels.channel import AbsentError, ByteStream
from modelkeep.channels.download import HttpSource
from modelkeep.channels.mirror import MirrorError
from modelkeep.channels.pace import DownloadLimits
from modelkeep.errors import KeepError, RefusedError, UsageError
from modelkeep.updates.client.tuf_client import TufClient
from modelkeep.updates.repository.metadata import METADATA, TARGETS

LARGEST_TARGET = 2**30


class AnyNames:
    """A repository on a web server whose roles and targets have names that no channel of ours takes."""

    def __init__(self, metadata: str, targets: str) -> None:
        self.name = metadata
        self._places = {f"{METADATA}/": metadata, f"{TARGETS}/": targets}

    def open(self, name: str, offset: int = 0, *, largest: int) -> ByteStream:
        start = next(each for each in self._places if name.startswith(each))
        address = self._places[start] + name.removeprefix(start)
        try:
            source = HttpSource(address, limits=DownloadLimits(size=largest, attempts=1))
            return source.open(offset)
        except MirrorError as error:
            raise (AbsentError(str(error)) if error.is_absent else error) from None

    def put(self, name: str, pieces: Iterable[bytes | memoryview]) -> NoReturn:
        raise UsageError(f"{self.name}: takes no {name}")


def client(arguments: argparse.Namespace) -> TufClient:
    folder = Path(arguments.metadata_dir)
    channel = AnyNames(arguments.metadata_url, arguments.target_base_url or "")
    return TufClient(channel, folder, (folder / "root.json").read_bytes(), int(time.time()), is_flat=False)


def init(arguments: argparse.Namespace) -> None:
    shutil.copyfile(arguments.trusted_root, Path(arguments.metadata_dir, "root.json"))


def refresh(arguments: argparse.Namespace) -> None:
    client(arguments).refresh()


def download(arguments: argparse.Namespace) -> None:
    repository = client(arguments)
    repository.refresh()
    for name in arguments.target_name:
        data = repository.target(name, LARGEST_TARGET)
        if data is None:
            raise RefusedError(f"{name} is not listed")
        _put(Path(arguments.target_dir, quote(name, "")), data)


def _put(target: Path, data: bytes) -> None:
    # The suite tells by their times which target came last.
    if not target.exists() or target.read_bytes() != data:
        target.write_bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metadata-dir", required=True)
    parser.add_argument("--metadata-url")
    parser.add_argument("--target-name", action="append")
    parser.add_argument("--target-base-url")
    parser.add_argument("--target-dir")
    commands = parser.add_subparsers(required=True)
    for command in (init, refresh, download):
        commands.add_parser(command.__name__).set_defaults(command=command)
    commands.choices["init"].add_argument("trusted_root")
    arguments = parser.parse_args()
    try:
        arguments.command(arguments)
    except KeepError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
