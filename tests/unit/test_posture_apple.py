"""Apple's code signatures, made by a signer of our own."""

from __future__ import annotations

import struct

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from modelkeep.errors import ExpiredError, KeepError, MalformedError, SignatureError, UntrustedSignerError
from modelkeep.posture.apple.bundle import verify_bundle
from modelkeep.posture.apple.code import CodeSignature, verify_code
from support.apple_bundle import MODEL, make_app
from support.apple_signer import ADHOC, NOW, TEAM, AppleSigner, fat
from support.command_line import CommandLine

SIGNER = AppleSigner()
YEARS = 400 * 86_400


def verified(data: bytes, now: int = NOW, signer: AppleSigner = SIGNER) -> CodeSignature:
    return verify_code(memoryview(data), now, roots=signer.roots)


def test_signed_code_says_who_signed_it() -> None:
    signature = verified(SIGNER.sign())
    assert (signature.identifier, signature.team, signature.hardened) == ("com.acme.app", TEAM, True)
    assert signature.authorities == (TEAM, "Authority", "Root")
    assert signature.signed_at is None
    signature.require(TEAM)
    with pytest.raises(UntrustedSignerError, match="not OTHER"):
        signature.require("OTHER")


@pytest.mark.parametrize("kind", [2, 4])
@pytest.mark.parametrize("size", [0, 1, 4096, 4048, 40_000])
def test_code_of_any_size_is_covered(kind: int, size: int) -> None:
    assert verified(SIGNER.sign(bytes(size), kind=kind)).team == TEAM


def test_ad_hoc_signatures_are_told_apart() -> None:
    signature = verified(SIGNER.sign(flags=ADHOC))
    assert signature.is_ad_hoc
    with pytest.raises(UntrustedSignerError, match="ad hoc"):
        signature.require()


def test_every_slice_counts() -> None:
    one, other = SIGNER.sign(b"arm" * 2000), SIGNER.sign(b"intel" * 2000)
    assert len(verified(fat(one, other)).cdhashes) == 2
    with pytest.raises(SignatureError, match="different teams"):
        verified(fat(one, SIGNER.sign(flags=ADHOC)))
    with pytest.raises(SignatureError, match="different teams"):
        verified(fat(one, SIGNER.sign(identifier="com.acme.other")))


def test_certificates_end_unless_a_timestamp_says_that_it_was_before() -> None:
    with pytest.raises(ExpiredError):
        verified(SIGNER.sign(), NOW + YEARS)
    stamped = verified(SIGNER.sign(stamp=NOW), NOW + YEARS)
    assert stamped.signed_at == NOW
    with pytest.raises(SignatureError, match="future"):
        verified(SIGNER.sign(stamp=NOW + 3 * 86_400))
    with pytest.raises(ExpiredError):
        verified(SIGNER.sign(stamp=NOW + YEARS), NOW + 2 * YEARS)


def test_sha1_does_not_count_any_more() -> None:
    with pytest.raises(SignatureError, match="does not count"):
        verified(SIGNER.sign(kind=1))


def test_certificates_for_other_uses_are_refused() -> None:
    signer = AppleSigner(usage=ExtendedKeyUsageOID.EMAIL_PROTECTION)
    with pytest.raises(UntrustedSignerError, match="something else"):
        verified(signer.sign(), signer=signer)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\xcf\xfa\xed\xfe", b"#!/bin/sh\n" * 9, struct.pack(">II", 0xCAFEBABE, 0)),
        struct.pack(">II", 0xCAFEBABE, 9) + bytes(400),
        struct.pack(">7I", 0xCAFEBABE, 1, 0, 0, 0, 8, 12) + bytes(8),
    ],
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        verified(data)


def test_files_are_laid_out_in_one_way() -> None:
    good = SIGNER.sign()
    for bad in (good + b"\0", fat(good)[:-1], fat(good) + b"\0", fat(good).replace(bytes(64), b"x" * 64, 1)):
        with pytest.raises(KeepError):
            verified(bad)
    assert verified(fat(good)).team == TEAM


def test_verify_says_what_is_wrong(command: CommandLine) -> None:
    (command.folder / "code").write_bytes(SIGNER.sign())
    (command.folder / "adhoc").write_bytes(SIGNER.sign(flags=ADHOC))
    (command.folder / "model.mlmodelc").mkdir()
    # Neither is Apple's.
    assert command.shell("modelkeep verify --apple code").code == 3
    refused = command.shell("modelkeep verify --apple adhoc --team ACME123456")
    assert (refused.code, "nobody vouches" in refused.err) == (3, True)
    assert command.shell("modelkeep verify --apple model.mlmodelc").code == 5
    assert command.shell("modelkeep verify --apple nowhere").code == 6
    assert command.shell("modelkeep verify --apple code -t key.pub").code == 2
    assert command.shell("modelkeep verify code --team ACME123456").code == 2


def test_a_model_is_verified_by_the_app_that_it_lies_in(
    command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(command.folder, SIGNER, stamp=NOW)
    # As if our root were Apple's.
    monkeypatch.setattr(verify_bundle, "__kwdefaults__", {"roots": SIGNER.roots, "depth": 8})
    for place in ("Sensor.app", f"Sensor.app/{MODEL}", "Sensor.app/Contents/MacOS/Sensor"):
        done = command.ok(f"modelkeep verify --apple {place} --team {TEAM}")
        assert f"signed by {TEAM}, by 2026-01-02" in done.err
    assert command.ok("modelkeep verify --apple Sensor.app --json").json["team"] == TEAM
    (app / MODEL / "coremldata.bin").write_bytes(b"other")
    refused = command.shell(f"modelkeep verify --apple Sensor.app/{MODEL}")
    assert (refused.code, "coremldata.bin" in refused.err) == (3, True)


def test_code_without_signature_is_refused() -> None:
    command = struct.pack("<II8s", 0x2A, 16, b"")
    data = struct.pack("<8I", 0xFEEDFACF, 7, 0, 2, 1, len(command), 0, 0) + command
    with pytest.raises(SignatureError, match="not signed"):
        verified(data)
