"""Bytes by name: a folder, and the same folder behind a web server."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelkeep.channels.channel import AbsentError, Channel, read_whole
from modelkeep.channels.directory import DirectoryChannel
from modelkeep.channels.http import HttpChannel
from modelkeep.channels.pace import DownloadLimits
from modelkeep.errors import StorageError, UnavailableError, UsageError

CONTENT = bytes(range(256)) * 300


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> DirectoryChannel:
    channel = DirectoryChannel(tmp_path / "shown")
    channel.put("deep/er/file.keep", [CONTENT[:1000], memoryview(CONTENT)[1000:]])
    return channel


@pytest.fixture(params=["directory", "http"])
def channel(request: pytest.FixtureRequest, folder: DirectoryChannel) -> Iterator[Channel]:
    if request.param == "directory":
        yield folder
        return
    handler = functools.partial(Quiet, directory=folder.folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield HttpChannel(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()


def test_files_are_read_from_any_place_on(channel: Channel) -> None:
    assert read_whole(channel, "deep/er/file.keep", len(CONTENT)) == CONTENT
    stream = channel.open("deep/er/file.keep", 70_000, largest=len(CONTENT))
    assert stream.read(5) == CONTENT[70_000:70_005]
    stream.close()


def test_what_is_not_there_is_told_from_what_cannot_be_reached(channel: Channel) -> None:
    for name in ("deep/other", "deep/er/file.keep/below"):
        with pytest.raises(AbsentError, match="has no deep"):
            channel.open(name, largest=10)


def test_what_cannot_be_reached_is_not_taken_for_absent() -> None:
    with pytest.raises(UnavailableError) as refusal:
        HttpChannel("http://127.0.0.1:9/", limits=DownloadLimits(attempts=1)).open("deep", largest=10)
    assert not isinstance(refusal.value, AbsentError)


def test_larger_files_than_allowed_are_refused(channel: Channel) -> None:
    with pytest.raises(UnavailableError, match="more than"):
        channel.open("deep/er/file.keep", largest=len(CONTENT) - 1)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".hidden", "a b", "x?y", "%2e"]
)
def test_no_name_leads_elsewhere(name: str, tmp_path: Path) -> None:
    folder = DirectoryChannel(tmp_path)
    with pytest.raises(UsageError, match="not a name"):
        folder.open(name, largest=10)
    with pytest.raises(UsageError, match="not a name"):
        folder.put(name, [b""])


def test_no_name_leads_elsewhere_on_a_web_server() -> None:
    with pytest.raises(UsageError, match="not a name"):
        HttpChannel("https://localhost").open("a/../b", largest=10)


def test_what_ends_in_an_error_was_not_written(folder: DirectoryChannel) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise StorageError("the source is broken")

    with pytest.raises(StorageError, match="broken"):
        folder.put("deep/er/file.keep", pieces())
    assert read_whole(folder, "deep/er/file.keep", len(CONTENT)) == CONTENT
    assert [path.name for path in (folder.folder / "deep/er").iterdir()] == ["file.keep"]


def test_nobody_writes_through_a_web_server() -> None:
    with pytest.raises(UsageError, match="nobody writes"):
        HttpChannel("https://localhost").put("name", [b""])


def test_a_query_stays_behind_the_address() -> None:
    channel = HttpChannel("https://user:word@localhost/models/?token=secret")
    assert channel.name == "https://localhost/models/"
    assert (
        channel._address(channel._folders[0], "a/b") == "https://user:word@localhost/models/a/b?token=secret"
    )
