"""What a token's failures mean to people. Source: PKCS #11 v3.1, section 5.1.6 and following."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pkcs11 import exceptions as p11

from modelkeep.errors import KeyStoreError

_REMOVED = ("the token was removed", "put it back and try again")
_WORDS: dict[type[Exception], tuple[str, str | None]] = {
    p11.PinIncorrect: ("the PIN is wrong", "after some more attempts the token locks"),
    p11.PinInvalid: ("the PIN holds characters that the token does not accept", None),
    p11.PinLenRange: ("the PIN is too short or too long for this token", None),
    p11.PinLocked: ("the PIN is locked after too many wrong ones", "the token's security officer resets it"),
    p11.PinExpired: ("the PIN has expired", "set a new one with the token's own tool"),
    p11.UserPinNotInitialized: ("the token has no user PIN yet", "initialise it with the token's own tool"),
    p11.TokenNotPresent: _REMOVED,
    p11.DeviceRemoved: _REMOVED,
    p11.SlotIDInvalid: _REMOVED,
    p11.SessionHandleInvalid: _REMOVED,
    p11.SessionClosed: _REMOVED,
    p11.TokenNotRecognised: ("the token is not initialised", "initialise it with the token's own tool"),
    p11.TokenWriteProtected: ("the token is write-protected", None),
    p11.DeviceMemory: ("the token is full", "remove keys that are not used any more"),
    p11.SessionCount: ("the token has no session left", "close other programs that use it"),
    p11.KeyHandleInvalid: ("the key was deleted", "create it again and get a new grant"),
    p11.ObjectHandleInvalid: ("the key was deleted", "create it again and get a new grant"),
    p11.MechanismInvalid: (
        "the token lacks a mechanism that modelkeep needs",
        "it needs CKM_ECDH1_DERIVE for grants, CKM_AES_GCM beside an AES key, CKM_ECDSA for signing",
    ),
    p11.GeneralError: ("the token failed", "check that it is present and initialised"),
}
# After these, a new login may work where the old session does not.
SESSION_LOST = (
    p11.DeviceError,
    p11.DeviceRemoved,
    p11.GeneralError,
    p11.SessionClosed,
    p11.SessionHandleInvalid,
    p11.SlotIDInvalid,
    p11.TokenNotPresent,
    p11.UserNotLoggedIn,
)


@contextmanager
def words_of_token() -> Iterator[None]:
    """Turns a token's failure into a KeyStoreError with the way out."""
    try:
        yield
    except p11.PKCS11Error as error:
        problem, hint = _WORDS.get(type(error), (f"the token refused: {type(error).__name__}", None))
        raise KeyStoreError(problem, hint=hint) from error
