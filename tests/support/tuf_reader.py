"""A repository as python-tuf's own client reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface


class FolderFetcher(FetcherInterface):
    """Fetches from a folder, as from a web server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = self._folder / url.removeprefix("folder:/")
        if not path.is_file():
            raise DownloadHTTPError("not found", 404)
        yield path.read_bytes()


def read_targets(folder: Path, cache: Path, root: bytes, *names: str) -> list[bytes | None]:
    """Returns the contents of some targets, None for what is not listed, as a new client sees them."""
    (cache / "metadata").mkdir(parents=True, exist_ok=True)
    (cache / "targets").mkdir(exist_ok=True)
    updater = Updater(
        str(cache / "metadata"),
        "folder:/metadata/",
        str(cache / "targets"),
        "folder:/targets/",
        fetcher=FolderFetcher(folder),
        bootstrap=root,
    )
    updater.refresh()
    return [_content(updater, name) for name in names]


def _content(updater: Updater, name: str) -> bytes | None:
    target = updater.get_targetinfo(name)
    return None if target is None else Path(updater.download_target(target)).read_bytes()
