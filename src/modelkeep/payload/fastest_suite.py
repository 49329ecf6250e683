"""Which suite this processor decrypts faster: without instructions for AES, it is not the usual one."""

from __future__ import annotations

import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from modelkeep.manifest import Suite

_SAMPLE = 2**18
_ROUNDS = 5


def fastest_suite() -> Suite:
    """Returns the suite that is faster here, tried on 256 KiB; takes milliseconds.

    Tried, since what the system says of a processor has another form everywhere, and a library may not use
    what the processor has.
    """
    key, data = bytes(32), bytes(_SAMPLE)
    aes, chacha = _least_time(AESGCM(key), data), _least_time(ChaCha20Poly1305(key), data)
    return Suite.AES256_GCM_HKDF_1MB if aes <= chacha else Suite.CHACHA20_POLY1305_HKDF_1MB


def _least_time(cipher: AESGCM | ChaCha20Poly1305, data: bytes) -> float:
    # Another nonce each time, as a habit: nothing here is secret.
    return min(_time(cipher, number.to_bytes(12, "big"), data) for number in range(_ROUNDS))


def _time(cipher: AESGCM | ChaCha20Poly1305, nonce: bytes, data: bytes) -> float:
    start = time.thread_time()
    cipher.encrypt(nonce, data, None)
    return time.thread_time() - start
