"""Code that Apple's own tools signed, out of packages of others; skipped where they cannot be fetched."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from modelkeep.errors import RefusedError, TamperedError, UntrustedSignerError
from modelkeep.posture.apple.code import verify_code
from modelkeep.posture.apple.mach_o import slices_of
from support.apple_packages import AD_HOC, SIGNED, TEAM, fetched


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A program that a team signed with its Developer ID."""
    return fetched(SIGNED, tmp_path_factory.mktemp("signed"), "/sentry-cli")


def test_a_developer_id_leads_to_apple(signed: bytes) -> None:
    signature = verify_code(memoryview(signed), int(time.time()))
    signature.require(TEAM)
    assert signature.authorities[1:] == ("Developer ID Certification Authority", "Apple Root CA")
    assert signature.hardened
    assert signature.signed_at is not None
    with pytest.raises(UntrustedSignerError):
        signature.require("ANOTHER123")
    # The certificate ends; what was signed before, by a timestamp, does not.
    assert verify_code(memoryview(signed), int(time.time()) + 10 * 365 * 86_400).team == TEAM


def test_flipped_bytes_of_a_real_program_are_found(signed: bytes) -> None:
    code = len(slices_of(memoryview(signed))[0].code)
    for place in (5_000, code // 2, code - 1):
        data = bytearray(signed)
        data[place] ^= 1
        with pytest.raises(TamperedError):
            verify_code(memoryview(data), int(time.time()))
    for old in (TEAM.encode(), b"sentry_cli-"):
        place = signed.index(old, code)
        data = bytearray(signed)
        data[place] ^= 1
        with pytest.raises(RefusedError):
            verify_code(memoryview(data), int(time.time()))


def test_what_a_linker_signed_is_told_apart(tmp_path: Path) -> None:
    data = fetched(AD_HOC, tmp_path, ".so")
    signature = verify_code(memoryview(data), int(time.time()))
    assert (signature.is_ad_hoc, signature.team) == (True, "")
