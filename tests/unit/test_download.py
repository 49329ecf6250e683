"""Downloads: every byte once and in order, from any place on, whatever servers do meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelkeep.channels.download import HttpSource
from modelkeep.channels.http_client import ClientSettings
from modelkeep.channels.pace import DownloadLimits
from modelkeep.errors import NetworkError, StorageError, UsageError
from modelkeep.updates.source import source_of
from support.command_line import CommandLine
from support.web import Answer, Authority, Headers, giving, reply, serving
from support.workshop import MODEL_ID, Workshop

DATA = bytes(range(251)) * 300
QUICK = DownloadLimits(pause=0.01, attempts=3)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def taken(source: HttpSource, offset: int = 0) -> bytes:
    with source.open(offset) as stream:
        return b"".join(iter(lambda: stream.read(10_000), b""))


def drop(_asked: Headers, _client: socket.socket) -> None:
    """Closes the connection without a word."""


def test_a_bundle_comes_from_any_place_on_under_a_name_without_secrets() -> None:
    with serving(giving(DATA)) as web:
        source = HttpSource(web.url)
        assert taken(source) == DATA
        assert taken(source, 70_000) == DATA[70_000:]
        assert taken(source, len(DATA)) == b""
    assert source.tag == '"one"' and "secret" not in source.name
    assert web.asked[0]["accept-encoding"] == "identity" and "range" not in web.asked[0]
    assert (web.asked[1]["range"], web.asked[1]["if-range"]) == ("bytes=70000-", '"one"')


@pytest.mark.parametrize("ranges", [True, False])
def test_what_breaks_off_is_taken_up_where_it_ended(ranges: bool) -> None:
    answers = [giving(DATA, most=30_000, ranges=ranges), drop, giving(DATA, ranges=ranges)]
    with serving(*answers) as web:
        assert taken(HttpSource(web.url, limits=QUICK)) == DATA
    assert web.asked[-1]["range"] == "bytes=30000-"


def test_a_mirror_takes_over_and_has_a_tag_of_its_own() -> None:
    with serving(giving(DATA, most=30_000), reply(404, {})) as web, serving(giving(DATA, '"two"')) as other:
        source = HttpSource(web.url, mirrors=[other.url], limits=QUICK)
        assert taken(source) == DATA
    assert source.tag == '"one"' and "if-range" not in other.asked[0]
    assert other.asked[0]["range"] == "bytes=30000-"


WRONG: dict[str, tuple[str, Answer]] = {
    "changed": ("something else there by now", giving(DATA, '"two"')),
    "other-size": ("another size", giving(DATA + b"!", None)),
    "wrong-start": (
        "another part",
        reply(206, {"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}", "Content-Length": "75295"}),
    ),
    "no-range": ("without saying which", reply(206, {"Content-Length": "5"}, b"12345")),
    "missing": ("answers 404", reply(404, {"Content-Length": "0"})),
    "compressed": (
        "compressed",
        reply(200, {"Content-Length": "5", "Content-Encoding": "gzip"}, b"12345"),
    ),
    "endless": ("how long it is", reply(200, {}, DATA)),
    "chunked": ("how long it is", reply(200, {"Transfer-Encoding": "chunked"}, b"3\r\nabc\r\n0\r\n\r\n")),
    "no-http": ("cannot be reached", lambda _asked, client: client.sendall(b"SSH-2.0-x\r\n\r\n")),
    "silent": ("cannot be reached", drop),
    "truncated": ("breaks off", giving(DATA, most=0)),
    "busy": ("answers 503", reply(503, {"Retry-After": "0", "Content-Length": "0"})),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_in_the_middle_is_named(name: str) -> None:
    words, wrong = WRONG[name]
    with serving(giving(DATA, most=30_000), wrong) as web, pytest.raises(NetworkError, match=words):
        taken(HttpSource(web.url, limits=QUICK))
    assert len(web.asked) <= 1 + QUICK.attempts


def test_redirects_are_followed() -> None:
    with serving(giving(DATA)) as there, serving(reply(307, {"Location": there.url})) as here:
        assert taken(HttpSource(here.url)) == DATA
        assert taken(HttpSource(here.url), 70_000) == DATA[70_000:]


def test_bandwidth_is_kept() -> None:
    asleep: list[float] = []
    with serving(giving(DATA)) as web, pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelkeep.channels.pace.time.sleep", asleep.append)
        assert taken(HttpSource(web.url, limits=DownloadLimits(bandwidth=1000))) == DATA
    assert max(asleep) > len(DATA) / 1000 - 10


def test_servers_and_clients_show_certificates(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    with serving(giving(DATA), tls=authority.server(demand_clients=True)) as web:
        settings = ClientSettings(roots=authority.roots, certificate=authority.certify("device"))
        assert taken(HttpSource(web.url, client=settings)) == DATA


def test_a_proxy_is_asked_for_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(DATA)) as proxy:
        address = proxy.url.partition("/model")[0]
        assert taken(HttpSource("http://models.example/a", client=ClientSettings(proxy=address))) == DATA
        monkeypatch.setenv("http_proxy", address)
        assert taken(HttpSource("http://models.example/b")) == DATA
    assert [each["line"].split()[1] for each in proxy.asked] == [
        f"http://models.example/{name}" for name in "ab"
    ]


@pytest.fixture
def stray(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "stray.pem"
    path.write_text("no certificate")
    yield path


def test_slips_are_answered_in_words(tmp_path: Path, stray: Path) -> None:
    for address in ("ftp://host/x", "https://", "x" * 5000, "https://host:port/"):
        with pytest.raises(UsageError, match="not an address"):
            HttpSource(address)
    with pytest.raises(UsageError, match="not an address"):
        source_of("ftp://host/x")
    assert isinstance(source_of("HTTPS://host/x"), HttpSource)
    for settings in (
        ClientSettings(roots=stray),
        ClientSettings(certificate=stray),
        ClientSettings(key=stray),
        ClientSettings(proxy="gopher://x"),
    ):
        with pytest.raises(UsageError):
            HttpSource("https://host/", client=settings)
    with pytest.raises(StorageError, match="no such file"):
        HttpSource("https://host/", client=ClientSettings(roots=tmp_path / "missing"))
    with pytest.raises(NetworkError, match="cannot be reached"):
        taken(HttpSource("http://localhost:1/", limits=QUICK))


def test_a_release_is_installed_while_it_is_downloaded(
    workshop: Workshop, command: CommandLine, tmp_path: Path
) -> None:
    bundle = workshop.seal(workshop.model(size=1_100_000)).read_bytes()
    authority = Authority.made(tmp_path)
    key = ("-k", workshop.device, "-t", tmp_path / "publisher.pub", "--model-id", MODEL_ID)
    (tmp_path / "publisher.pub").write_bytes(workshop.publisher_public)
    more = ("--tls-roots", authority.roots, "--bandwidth", "1000000000", "--deadline", "60", "--json")
    broken = (giving(bundle, most=3 * 2**20), reply(404, {"Content-Length": "0"}))
    with serving(*broken, giving(bundle), tls=authority.server()) as web:
        assert command("install", web.url, *key, *more, "-o", "installed.keep").code == 6
        done = command("install", web.url, *key, *more, "-o", "installed.keep")
        assert done.code == 0, done.err
        assert done.json["kept"] >= 2 * 2**20
        assert done.json["kept"] + done.json["fetched"] < len(bundle) + 2**21
        assert any("range" in each for each in web.asked[2:]), "what is there is not asked for"
        assert command("install", web.url, *key, "-o", "other.keep").code == 6
    assert command("install", "file.keep", *key, "--proxy", "http://x", "-o", "other.keep").code == 2
    with workshop.open(tmp_path / "installed.keep") as session:
        assert session.report.installed
