"""Timestamps of an authority: asked for when sealing, and what they are worth when opening."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.clock import LATEST_TIME
from modelkeep.errors import MalformedError, SignatureError, UnavailableError, UsageError
from modelkeep.trust import oms, timestamps
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import Signer
from modelkeep.trust.statement import Statement
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from support.command_line import CommandLine
from support.time_authority import TimeAuthority

SIGNATURE = b"a signature"
SIGNER = Signer(ec.generate_private_key(ec.SECP256R1()))
STATEMENT = Statement("model", {"manifest.json": bytes(32)})


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[TimeAuthority]:
    authority = TimeAuthority(tmp_path / "authority")
    with authority.serving():
        yield authority


def test_a_timestamp_says_when_a_signature_was_there(authority: TimeAuthority, tmp_path: Path) -> None:
    before = int(time.time())
    said = timestamps.request(authority.url, SIGNATURE)
    moment = timestamps.earliest([said], SIGNATURE, [authority.root])
    assert moment is not None
    assert before <= moment <= time.time()
    other = TimeAuthority(tmp_path / "other")
    for data, signature, roots in (
        (said, b"another signature", [authority.root]),
        (said, SIGNATURE, [other.root]),
        (said, SIGNATURE, []),
        (said[:-1], SIGNATURE, [authority.root]),
        (b"", SIGNATURE, [authority.root]),
        (b"nonsense", SIGNATURE, [authority.root]),
    ):
        assert timestamps.earliest([data], signature, roots) is None
    assert timestamps.earliest([b"", said], SIGNATURE, [other.root, authority.root]) == moment


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_every_byte_of_a_timestamp_counts_or_changes_nothing(authority: TimeAuthority) -> None:
    said = timestamps.request(authority.url, SIGNATURE)
    moment = timestamps.earliest([said], SIGNATURE, [authority.root])
    for position in range(0, len(said), 7):
        changed = bytearray(said)
        changed[position] ^= 1
        assert timestamps.earliest([bytes(changed)], SIGNATURE, [authority.root]) in (None, moment)


@pytest.mark.parametrize("url", ["", "tsa.example", "file:///etc/passwd", "ftp://tsa.example", "http://"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="not the address"):
        timestamps.request(url, SIGNATURE)


def test_answers_that_are_none(authority: TimeAuthority) -> None:
    for answer, error in (
        (b"", SignatureError),
        (b"<html>", SignatureError),
        (bytes(2**15), SignatureError),
        (timestamps.request(authority.url, b"another"), SignatureError),
        # Rejected: PKIStatusInfo with status 2.
        (bytes.fromhex("30053003020102"), SignatureError),
    ):
        authority.answer = answer
        with pytest.raises(error):
            timestamps.request(authority.url, SIGNATURE)
    gone = TimeAuthority(authority.root_file.parent)
    with gone.serving():
        pass
    with pytest.raises(UnavailableError, match="cannot be reached"):
        timestamps.request(gone.url, SIGNATURE)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(UnavailableError) as caught:
        timestamps.request("http://127.0.0.1:1/", SIGNATURE)
    assert caught.value.hint == "pip install 'modelkeep[timestamps]'"


def test_a_document_carries_its_timestamp_in_the_room_reserved(authority: TimeAuthority) -> None:
    document = oms.sign(STATEMENT, SIGNER, lambda signature: timestamps.request(authority.url, signature))
    assert len(document) <= oms.signature_size(STATEMENT, SIGNER, stamped=True)
    assert len(oms.parse(document).timestamps) == 1
    verifier = Verifier(SIGNER.public_key, model="a", time_authorities=[authority.root])
    signed_at = verifier.verify_statement(document).signed_at
    assert signed_at is not None
    assert abs(signed_at - time.time()) < 60
    assert Verifier(SIGNER.public_key, model="a").verify_statement(document).signed_at is None
    trust = TrustFile(1, LATEST_TIME, (Publisher(SIGNER.public_key, ("model",)),))
    assert Verifier.from_trust_file(trust, model="a").verify_statement(document).signed_at is None
    trust = replace(trust, authorities=(authority.root,))
    assert Verifier.from_trust_file(trust, model="a").verify_statement(document).signed_at == signed_at
    plain = oms.sign(STATEMENT, SIGNER)
    assert oms.parse(plain).timestamps == ()
    assert verifier.verify_statement(plain).signed_at is None


def test_too_many_or_too_large_ones_are_malformed() -> None:
    with pytest.raises(MalformedError, match="more than"):
        oms.parse(oms.sign(STATEMENT, SIGNER, lambda _signature: bytes(timestamps.LARGEST_TIMESTAMP + 1)))
    document = oms.sign(STATEMENT, SIGNER, lambda _signature: b"x")
    one = b'{"signedTimestamp":"eA=="}'
    assert document.count(one) == 1
    assert len(oms.parse(document.replace(one, b",".join([one] * 4))).timestamps) == 4
    with pytest.raises(MalformedError, match="more than 4 items"):
        oms.parse(document.replace(one, b",".join([one] * 5)))


def test_sealing_asks_for_one_on_the_command_line(shop: CommandLine, authority: TimeAuthority) -> None:
    seal = "modelkeep seal model.onnx -r pi-17.pub -o stamped.keep"
    shop.ok(f"{seal} -s publisher.pem --timestamp {authority.url}")
    verify = "modelkeep verify stamped.keep -t publisher.pub --json"
    assert shop.ok(f"{verify} --time-authority {authority.root_file}").json["signed_at"] is not None
    assert shop.ok(verify).json["signed_at"] is None
    assert shop.shell(f"{seal} -f --unsafe-unsigned --timestamp {authority.url}").code == 2
    authority.answer = b""
    kept = (shop.folder / "stamped.keep").read_bytes()
    assert shop.shell(f"{seal} -f -s publisher.pem --timestamp {authority.url}").code == 3
    assert (shop.folder / "stamped.keep").read_bytes() == kept


def test_an_authority_whose_clock_is_wrong_is_not_believed(
    authority: TimeAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + timestamps._TOLERANCE + 100)
    with pytest.raises(SignatureError, match="the authority of time says"):
        timestamps.request(authority.url, SIGNATURE)
