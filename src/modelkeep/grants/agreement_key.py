"""Keys that stay in hardware: P-256 private keys of which only key agreement can be asked for.

An adapter subclasses `AgreementKey`, gives it `exchange` and `public_key`, and puts it into an
`HpkeHandle`; HPKE itself stays with pyca/cryptography.
"""

from __future__ import annotations

from typing import Any, NoReturn, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.errors import KeepError, KeyStoreError

SHARED_SECRET_BYTES = 32


class AgreementKey(ec.EllipticCurvePrivateKey):
    """Base for P-256 keys that can do ECDH and nothing else.

    Subclasses implement `exchange(algorithm, peer_public_key)`, which returns the x coordinate
    of the shared point (32 bytes, leading zeros kept), and `public_key()`. The peer's point has
    been checked to lie on the curve before `exchange` sees it.
    """

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve, always P-256."""
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        """Bits of the curve's order."""
        return self.curve.key_size

    def sign(self, data: Any, signature_algorithm: Any) -> NoReturn:
        """Refuses: keys that open models do not sign."""
        raise _unsupported()

    def private_numbers(self) -> NoReturn:
        """Refuses: the key does not leave its hardware."""
        raise _unsupported()

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:
        """Refuses: the key does not leave its hardware."""
        raise _unsupported()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> Self:
        return self


class Relay(AgreementKey):
    """Passes `exchange` on and remembers its failure.

    HPKE reports every failure as an invalid tag. Without this, a token that was pulled out
    would look like a damaged grant.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._failure: BaseException | None = None

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Returns the shared secret of the key behind."""
        try:
            return _complete(self._key.exchange(algorithm, peer_public_key))
        except BaseException as error:
            self._failure = error
            raise

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Returns the public key of the key behind."""
        return self._key.public_key()

    def raise_failure(self) -> None:
        """Raises what `exchange` failed with, if it did.

        Raises:
            KeyStoreError: the key could not be used.
        """
        failure = self._failure
        if failure is None:
            return
        if isinstance(failure, KeepError) or not isinstance(failure, Exception):
            raise failure
        raise KeyStoreError(
            f"the key could not be used: {type(failure).__name__}",
            hint="check that the key's device is present and unlocked",
        ) from failure


def _complete(secret: bytes) -> bytes:
    if len(secret) != SHARED_SECRET_BYTES:
        raise KeyStoreError(f"the key store returned a shared secret of {len(secret)} bytes")
    return secret


def _unsupported() -> UnsupportedAlgorithm:
    return UnsupportedAlgorithm("this key only agrees on shared secrets")
