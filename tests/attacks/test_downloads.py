"""A server, or whoever sits on the line, that wants to hold a device up, fill it, or be somebody else."""

from __future__ import annotations

import itertools
import socket
import time
from pathlib import Path

import pytest

from modelkeep.channels.download import HttpSource
from modelkeep.channels.http_client import ClientSettings
from modelkeep.channels.pace import DownloadLimits
from modelkeep.errors import NetworkError, TamperedError
from support.arriving import payload_of
from support.web import Answer, Authority, Headers, giving, reply, serving
from support.workshop import Workshop

DATA = bytes(range(200))
ONCE = DownloadLimits(attempts=1)


def taken(source: HttpSource) -> bytes:
    with source.open(0) as stream:
        return b"".join(iter(lambda: stream.read(10_000), b""))


def dripping(head: bytes, between: float) -> Answer:
    """Sends `head`, then a byte now and then, until the other side has had enough."""

    def answer(_asked: Headers, client: socket.socket) -> None:
        client.sendall(head)
        for _ in itertools.count():
            time.sleep(between)
            client.sendall(b"x")

    return answer


def test_a_server_that_drips_is_left() -> None:
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"
    with serving(dripping(body, 0.01)) as web:
        assert len(taken(HttpSource(web.url, limits=DownloadLimits(slowest=10, window=0.05)))) == 12
    for head, limits, words in (
        (body.replace(b"12", b"12000"), DownloadLimits(slowest=5000, window=0.2, attempts=1), "a second"),
        (body.replace(b"12", b"12000"), DownloadLimits(slowest=0, deadline=0.3), "deadline"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", DownloadLimits(silence=0.3, attempts=1), "in time"),
    ):
        # Each byte comes long before any timeout for one would strike.
        with serving(dripping(head, 0.01)) as web, pytest.raises(NetworkError, match=words):
            taken(HttpSource(web.url, limits=limits))


def test_a_server_cannot_fill_the_disk() -> None:
    for head in (
        reply(200, {"Content-Length": str(2**50)}, DATA),
        reply(206, {"Content-Length": "5", "Content-Range": f"bytes 0-4/{2**50}"}, DATA),
        reply(200, {"Content-Length": "9" * 400}, DATA),
        reply(200, {}, DATA),
        reply(200, {"Transfer-Encoding": "chunked"}, b"5\r\n12345\r\n0\r\n\r\n"),
    ):
        with serving(head) as web, pytest.raises(NetworkError):
            HttpSource(web.url, limits=ONCE).open(0).read(1)
    with serving(reply(200, {"Content-Length": "5"}, DATA)) as web:
        assert taken(HttpSource(web.url, limits=ONCE)) == DATA[:5], "what follows the end is not read"
    with serving(giving(DATA)) as web, pytest.raises(NetworkError, match="limit of 199"):
        taken(HttpSource(web.url, limits=DownloadLimits(size=199)))


def test_answers_that_cannot_be_encoded_are_answers_all_the_same() -> None:
    for head, words in (
        (reply(302, {"Location": f"http://{'a' * 70}.example/"}), "not one of HTTP"),
        (reply(302, {"Location": "//[::1", "Set-Cookie": "a=\xff"}), "not one of HTTP"),
        (reply(503, {"Retry-After": "-5"}), "answers 503"),
        (reply(503, {"Retry-After": "9" * 400}), "answers 503"),
        (reply(200, {"Content-Length": "9", "ETag": '"\xe9"'}, b"1234"), "breaks off"),
    ):
        with serving(head) as web, pytest.raises(NetworkError, match=words):
            taken(HttpSource(web.url, limits=DownloadLimits(attempts=2, pause=0)))


def test_redirects_end_and_never_leave_tls(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    tls = ClientSettings(roots=authority.roots)
    with serving(giving(DATA), tls=authority.server()) as secure, serving(giving(DATA)) as plain:
        for target, allowed in ((secure.url, True), (plain.url, False), ("file:///etc/passwd", False)):
            with serving(reply(302, {"Location": target}), tls=authority.server()) as web:
                source = HttpSource(web.url, client=tls, limits=ONCE)
                if allowed:
                    assert taken(source) == DATA
                    continue
                with pytest.raises(NetworkError, match="away from https:"):
                    taken(source)
        assert plain.asked == []
    with serving(reply(302, {"Location": "/again"})) as web, pytest.raises(NetworkError, match="5 times"):
        taken(HttpSource(web.url))
    assert len(web.asked) == 6


def test_a_stranger_is_not_the_server(tmp_path: Path) -> None:
    ours, strange = Authority.made(tmp_path, "ours"), Authority.made(tmp_path, "strange")
    with serving(giving(DATA), tls=ours.server()) as web:
        assert taken(HttpSource(web.url, client=ClientSettings(roots=ours.roots))) == DATA
        for source in (
            HttpSource(web.url, client=ClientSettings(roots=strange.roots)),
            HttpSource(web.url),
            HttpSource(web.url.replace("localhost", "127.0.0.1"), client=ClientSettings(roots=ours.roots)),
        ):
            with pytest.raises(NetworkError, match="CERTIFICATE_VERIFY_FAILED"):
                taken(source)
    assert len(web.asked) == 1


def test_a_server_that_points_elsewhere_does_not_pass_on_passwords() -> None:
    with serving(giving(DATA)) as there, serving(reply(302, {"Location": there.url})) as web:
        assert taken(HttpSource(web.url.replace("//", "//user:password@"))) == DATA
    assert "authorization" in web.asked[0] and "authorization" not in there.asked[0]


def test_two_bundles_are_never_mixed(workshop: Workshop) -> None:
    one = workshop.seal(workshop.model(size=4096)).read_bytes()
    two = workshop.seal(workshop.model(size=4096)).read_bytes()
    assert len(one) == len(two)
    half = len(one) // 2
    for first, second, error in (('"a"', '"b"', NetworkError), (None, None, TamperedError)):
        with serving(giving(one, first, most=half), giving(two, second)) as web, pytest.raises(error):
            arrive(web.url, workshop)
    with serving(giving(one, most=half), giving(one)) as web:
        assert arrive(web.url, workshop) > 0
    assert len(web.asked) == 2


def arrive(url: str, workshop: Workshop) -> int:
    with HttpSource(url, limits=DownloadLimits(pause=0)).open(0) as stream:
        return sum(map(len, payload_of(stream, workshop.verifier()).values()))
