"""What failures of signing services mean to people.

Every service has errors of its own, whose texts may hold secrets: known ones are recognised by their
class or code, and the texts stay where they are. Source: AWS KMS API Reference, "Sign", errors;
botocore, ``exceptions``; requests, ``exceptions``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelkeep.errors import KeepError, KeyStoreError

_Words = tuple[str, str]

_REFUSED = ("refuses", "check the credentials, and that they may sign with this key (kms:Sign)")
_NO_KEY = ("has no such key", "check its address and region")
_UNUSABLE = ("has this key, but it cannot be used", "it is disabled, or is going to be deleted")
_OTHER_USE = ("has a key of another use or algorithm", "make one for signing, on the public key's curve")
_NO_LOGIN = ("needs credentials", "set them up as the service's own tools ask for")
_UNREACHABLE = ("cannot be reached", "check the network and the service's address")
_CODES: dict[str, _Words] = {
    "403": _REFUSED,
    "AccessDeniedException": _REFUSED,
    "ExpiredTokenException": _REFUSED,
    "InvalidSignatureException": _REFUSED,
    "UnrecognizedClientException": _REFUSED,
    "NotFoundException": _NO_KEY,
    "DisabledException": _UNUSABLE,
    "KMSInvalidStateException": _UNUSABLE,
    "InvalidKeyUsageException": _OTHER_USE,
    "ValidationException": _OTHER_USE,
}
_CLASSES: dict[str, _Words] = {
    "NoCredentialsError": _NO_LOGIN,
    "PartialCredentialsError": _NO_LOGIN,
    "NoRegionError": ("needs to know its region", "set AWS_DEFAULT_REGION"),
    "ConnectionError": _UNREACHABLE,
    "HTTPClientError": _UNREACHABLE,
    "Timeout": _UNREACHABLE,
}
# Which of securesystemslib's extras brings what a scheme needs.
_EXTRAS = {"hv": "vault"}


@contextmanager
def words_of_service(scheme: str) -> Iterator[None]:
    """Turns a service's failure into a KeyStoreError with the way out.

    Raises:
        KeyStoreError: whatever happened, unless it is one of ours already.
    """
    try:
        yield
    except KeepError:
        raise
    except Exception as error:
        problem, hint = _words(error, scheme)
        raise KeyStoreError(f"the signer {scheme!r} {problem}", hint=hint) from error


def _words(error: Exception, scheme: str) -> _Words:
    names = [kind.__name__ for kind in type(error).__mro__]
    if "UnsupportedLibraryError" in names:
        extra = _EXTRAS.get(scheme, scheme)
        return "lacks its library", f"pip install 'securesystemslib[{extra}]'"
    if (code := _code(error)) in _CODES:
        return _CODES[code]
    known = next((_CLASSES[name] for name in names if name in _CLASSES), None)
    return known or (f"failed: {type(error).__name__}", "check its address, library and rights")


def _code(error: Exception) -> str:
    # Where botocore puts what the service answered.
    response: Any = getattr(error, "response", None)
    details = response.get("Error") if isinstance(response, dict) else None
    return str(details.get("Code")) if isinstance(details, dict) else ""
