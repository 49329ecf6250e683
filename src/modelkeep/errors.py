"""Every error modelkeep raises, split by what the caller does next.

    KeepError(.hint)
    ├── RefusedError               do not retry: a check said no
    │   ├── SignatureError         the signature is absent, broken or covers something else
    │   ├── UntrustedSignerError   the signature is sound, the signer is not one of ours
    │   ├── WrongModelError        signed by a trusted key, but not the model that was asked for
    │   ├── TamperedError          bytes are not the bytes that were signed
    │   ├── RollbackError          older than the verifier or the key store allows
    │   ├── ExpiredError           not valid yet, or not any more
    │   ├── PostureError           the grant demands a posture that was not shown
    │   └── InputError(.findings)  an input broke the model's contract, or the guard rejected it
    ├── NotForThisDeviceError      no grant fits this identity
    ├── MalformedError             these bytes are not ours, or are damaged beyond reading
    │   └── UnsupportedVersionError   written by a newer modelkeep
    ├── UnavailableError           fix and retry
    │   ├── StorageError           a file cannot be read or written
    │   ├── NetworkError           a server cannot be reached, or does not give what it should
    │   ├── KeyStoreError          a key cannot be reached, unlocked or used
    │   ├── RuntimeMissingError    the runtime for this model is not installed
    │   └── RuntimeCrashedError    the process of an isolated model ended
    │       └── RuntimeTimeoutError   it was ended, because it took too long
    └── UsageError                 the call itself is wrong

Messages are lower case, have no full stop and never hold a secret. What to do next is in
`hint`, which the command line prints on a line of its own.
"""

from __future__ import annotations

# Set as `typing` would, which costs more than all the rest of starting a command.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelkeep.finding import Finding


class KeepError(Exception):
    """Base of every error that modelkeep raises on purpose."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class RefusedError(KeepError):
    """A check said no; trying again with the same things will say no again."""


class SignatureError(RefusedError):
    """The signature is missing, does not verify, or covers other things than these."""


class UntrustedSignerError(RefusedError):
    """The signature verifies, but no trusted key or root stands behind it."""


class WrongModelError(RefusedError):
    """The publisher is trusted, but this is another model than the one expected."""


class TamperedError(RefusedError):
    """Bytes differ from the bytes that were signed or sealed."""


class RollbackError(RefusedError):
    """The epoch is below the lowest one accepted here."""


class ExpiredError(RefusedError):
    """Outside its time: not valid yet, no longer valid, or older than allowed."""


class PostureError(RefusedError):
    """The device does not show the posture that the grant demands."""


class InputError(RefusedError):
    """An input breaks the model's contract, or is not like those the model was made for."""

    def __init__(self, findings: tuple[Finding, ...], *, hint: str | None = None) -> None:
        super().__init__("; ".join(str(finding) for finding in findings), hint=hint)
        self.findings = findings


class NotForThisDeviceError(KeepError):
    """No grant fits this identity; the bundle itself may be in perfect order."""


class MalformedError(KeepError):
    """The bytes do not have the form that the specification asks for."""


class UnsupportedVersionError(MalformedError):
    """Written by a newer modelkeep; update this one."""


class UnavailableError(KeepError):
    """Something outside is missing or broken; fix it and try again."""


class StorageError(UnavailableError):
    """A file cannot be read, written or replaced."""


class NetworkError(UnavailableError):
    """A server cannot be reached, is too slow, or does not give what it should."""


class KeyStoreError(UnavailableError):
    """A key cannot be found, unlocked or used."""


class RuntimeMissingError(UnavailableError):
    """The runtime for this model is not installed or too old."""


class RuntimeCrashedError(UnavailableError):
    """The process that an isolated model ran in has ended; open the model again."""


class RuntimeTimeoutError(RuntimeCrashedError):
    """The process that an isolated model ran in was ended, because it took too long."""


class UsageError(KeepError):
    """The call itself is wrong: an argument, their combination, or the order of calls."""
