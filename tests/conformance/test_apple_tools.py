"""Verdicts on Apple's code signatures beside those of another program, `rcodesign` (crate apple-codesign).

It says of itself that it does not verify everything; whatever it finds, we have to refuse, and what it signs
we have to understand. Skipped where it is not installed.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from modelkeep.errors import KeepError, UntrustedSignerError
from modelkeep.posture.apple.code import APPLE_ROOTS, CodeSignature, verify_code
from support.apple_packages import AD_HOC, SIGNED, TEAM, fetched
from support.apple_signer import named
from support.certificates import YEAR, certificate
from support.needs import require

pytestmark = pytest.mark.slow

OWN_TEAM = "ACME123456"
FLIPS = 50


@dataclass(frozen=True)
class Program:
    """A signed program, and whose root stands behind it."""

    data: bytes
    roots: frozenset[bytes]

    def verified(self, data: bytes | None = None) -> CodeSignature:
        """Returns our verdict on the program, or on a changed copy of it."""
        return verify_code(memoryview(data or self.data), int(time.time()), roots=self.roots)


def rcodesign(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["rcodesign", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A program that a team signed with its Developer ID, by Apple's tools."""
    require("rcodesign", "nothing: cargo install apple-codesign")
    return Program(fetched(SIGNED, tmp_path_factory.mktemp("signed"), "/sentry-cli"), frozenset(APPLE_ROOTS))


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that nobody stands behind yet."""
    require("rcodesign", "nothing: cargo install apple-codesign")
    folder = tmp_path_factory.mktemp("unsigned")
    library = folder / "library.so"
    library.write_bytes(fetched(AD_HOC, folder, ".so"))
    return library


@pytest.fixture(scope="module")
def ours(unsigned: Path) -> Program:
    """The library, signed by rcodesign with a certificate of our making."""
    key = rsa.generate_private_key(65_537, 2048)
    usage = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), True)
    issued = certificate(named("Apple Development: Acme", OWN_TEAM), key, [usage], lasts=5 * YEAR)
    pem, target = unsigned.with_name("own.pem"), unsigned.with_name("own.so")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(private + issued.public_bytes(Encoding.PEM))
    signing = ("--pem-file", pem, "--team-name", OWN_TEAM, "--timestamp-url", "none")
    assert rcodesign("sign", *signing, unsigned, target).returncode == 0
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Program(target.read_bytes(), frozenset({hashlib.sha256(public).digest()}))


def test_both_say_the_same_of_who_signed(theirs: Program, ours: Program, tmp_path: Path) -> None:
    for program, team in ((theirs, TEAM), (ours, OWN_TEAM)):
        file = tmp_path / team
        file.write_bytes(program.data)
        said = rcodesign("print-signature-info", file).stdout
        signature = program.verified()
        assert signature.team == team == said_of(said, "team_name")
        assert signature.identifier == said_of(said, "identifier")
        assert ("RUNTIME" in said_of(said, "flags")) is signature.hardened


def said_of(text: str, name: str) -> str:
    found = re.search(rf"^ +{name}: (.*)$", text, re.MULTILINE)
    assert found is not None, name
    return found[1]


def test_what_it_signs_counts_for_its_own_root_alone(ours: Program, unsigned: Path) -> None:
    assert ours.verified().team == OWN_TEAM
    with pytest.raises(UntrustedSignerError):
        verify_code(memoryview(ours.data), int(time.time()))
    target = unsigned.with_name("ad-hoc.so")
    assert rcodesign("sign", "--timestamp-url", "none", unsigned, target).returncode == 0
    assert verify_code(memoryview(target.read_bytes()), int(time.time())).is_ad_hoc


def test_whatever_it_finds_we_refuse(theirs: Program, ours: Program, tmp_path: Path) -> None:
    for program in (theirs, ours):
        found, refused = compared(program, tmp_path / "changed")
        assert found <= refused, found - refused
        # Most places are code, which both of them look at.
        assert len(found) > FLIPS // 2


def compared(program: Program, file: Path) -> tuple[set[int], set[int]]:
    """Returns at which places a flipped bit was found by the other program, and at which by us."""
    found, refused = set(), set()
    for place in range(1, len(program.data), len(program.data) // FLIPS):
        data = bytearray(program.data)
        data[place] ^= 1
        file.write_bytes(data)
        if rcodesign("verify", file).returncode != 0:
            found.add(place)
        try:
            program.verified(bytes(data))
        except KeepError:
            refused.add(place)
    return found, refused
