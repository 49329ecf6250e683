"""Timestamps: an authority of time says that a signature was there at a certain moment.

A certificate that was valid then stays good for what it signed, whatever day it is.
Source: RFC 3161; spec/bundle-v1.md, "Timestamps". Package rfc3161-client verifies.
"""

from __future__ import annotations

import hashlib
import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from modelkeep.errors import SignatureError, UnavailableError, UsageError

if TYPE_CHECKING:
    from cryptography import x509

LARGEST_TIMESTAMP = 2**14

Stamp = Callable[[bytes], bytes]

_TIMEOUT = 30
_TOLERANCE = 86_400
_QUERY, _REPLY = "application/timestamp-query", "application/timestamp-reply"


def check_address(url: str) -> str:
    """Returns the address of an authority.

    Raises:
        UsageError: not one.
    """
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"not the address of an authority: {url[:200]!r}", hint="for example http://tsa.example"
        )
    return url


def request(url: str, signature: bytes) -> bytes:
    """Returns what an authority says of a signature: a TimeStampResp in DER.

    Whether the authority is one that devices trust is theirs to say; that it answers the question is
    checked here.

    Args:
        url: where it is asked, by HTTP or HTTPS.
        signature: what gets the timestamp.

    Raises:
        UnavailableError: it cannot be reached, or the package is not installed.
        SignatureError: it refuses, or answers another question.
    """
    client = _client()
    query = (
        client.TimestampRequestBuilder().data(signature).hash_algorithm(client.HashAlgorithm.SHA256).build()
    )
    reply = _ask(check_address(url), query.as_bytes())
    try:
        answer = client.decode_timestamp_response(reply)
        granted = answer.status == client.PKIStatus.GRANTED
        said = answer.tst_info if granted else None
    except ValueError:
        raise SignatureError("the authority of time did not answer with a timestamp") from None
    if said is None:
        raise SignatureError("the authority of time refuses", hint="ask whoever runs it")
    if said.nonce != query.nonce or said.message_imprint.message != hashlib.sha256(signature).digest():
        raise SignatureError("the authority of time answers another question")
    if abs(said.gen_time.timestamp() - time.time()) > _TOLERANCE:
        raise SignatureError(
            f"the authority of time says {said.gen_time:%Y-%m-%dT%H:%M:%SZ}", hint="check the clock here"
        )
    return reply


def earliest(
    timestamps: Iterable[bytes], signature: bytes, authorities: Sequence[x509.Certificate]
) -> int | None:
    """Returns the earliest moment at which a trusted authority saw a signature, or None.

    Timestamps that do not hold count nothing: whoever could spoil one could as well leave it out.

    Args:
        timestamps: TimeStampResps in DER, as they were received.
        signature: what they have to be about.
        authorities: root certificates; without any, nothing is looked at.

    Raises:
        UnavailableError: the package is not installed.
    """
    # One root at a time: of several with one name, the library finds only one.
    said = (_moment(data, signature, root) for data in timestamps for root in authorities)
    return min((moment for moment in said if moment is not None), default=None)


def _moment(data: bytes, signature: bytes, root: x509.Certificate) -> int | None:
    from modelkeep.trust.certificates import UNFIT

    client = _client()
    try:
        response = client.decode_timestamp_response(data)
        client.VerifierBuilder(roots=[root]).build().verify_message(response, signature)
        return int(response.tst_info.gen_time.timestamp())
    except (client.VerificationError, TypeError, KeyError, OverflowError, *UNFIT):
        return None


def _ask(url: str, query: bytes) -> bytes:
    # The address was checked: no other scheme opens files of this machine.
    # Only who asks an authority needs them, and they take as long to import as half of an opening.
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    question = Request(url, query, {"Content-Type": _QUERY, "Accept": _REPLY})  # noqa: S310
    try:
        with urlopen(question, timeout=_TIMEOUT) as answer:  # noqa: S310
            data: bytes = answer.read(LARGEST_TIMESTAMP + 1)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else type(error).__name__
        raise UnavailableError(
            f"the authority of time cannot be reached: {reason}", hint="try again"
        ) from None
    if len(data) > LARGEST_TIMESTAMP:
        raise SignatureError(f"the authority of time answers with more than {LARGEST_TIMESTAMP} bytes")
    return data


def _client() -> Any:
    try:
        return importlib.import_module("rfc3161_client")
    except ImportError:
        raise UnavailableError(
            "timestamps need package rfc3161-client", hint="pip install 'modelkeep[timestamps]'"
        ) from None
