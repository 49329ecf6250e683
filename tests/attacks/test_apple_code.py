"""Somebody who changes signed code, its claims, or its resources: models among them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelkeep.code_verification import DiskFiles
from modelkeep.errors import MalformedError, RefusedError, SignatureError, TamperedError, UntrustedSignerError
from modelkeep.posture.apple.bundle import verify_bundle
from modelkeep.posture.apple.code import CodeSignature, verify_code
from modelkeep.posture.apple.mach_o import slices_of
from support.apple_bundle import FRAMEWORK, MODEL, cdhash_of, make_app, make_framework, sign_app, write
from support.apple_signer import ADHOC, NOW, TEAM, AppleSigner, entitlements, fat

SIGNER = AppleSigner()
ENTITLED = {5: entitlements(com_apple_security_network=False)}


def verified(data: bytes) -> CodeSignature:
    return verify_code(memoryview(data), NOW, roots=SIGNER.roots)


def checked(app: Path) -> CodeSignature:
    return verify_bundle(DiskFiles(app), NOW, roots=SIGNER.roots)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A signed application."""
    return make_app(tmp_path, SIGNER)


def test_a_flipped_byte_of_code_is_found() -> None:
    good = SIGNER.sign(b"code" * 5000)
    assert verified(good).team == TEAM
    length = len(slices_of(memoryview(good))[0].code)
    for place in (60, 4096, length // 2, length - 1):
        with pytest.raises(TamperedError, match="page"):
            verified(flipped(good, place))


def test_a_flipped_byte_of_the_signature_is_refused_or_says_the_same() -> None:
    good = SIGNER.sign(b"code", parts=ENTITLED)
    start, said, refused = len(slices_of(memoryview(good))[0].code), verified(good), 0
    size = int.from_bytes(good[start + 4 : start + 8], "big")
    for place in range(start, start + size, 3):
        try:
            assert verified(flipped(good, place)) == said
        except (RefusedError, MalformedError):
            refused += 1
    # What is left are lengths and tags around what is signed.
    assert refused > 0.9 * size / 3


def test_another_team_in_the_code_is_refused() -> None:
    with pytest.raises(UntrustedSignerError, match="certificate is not for"):
        verified(SIGNER.sign(team="OTHER12345"))
    with pytest.raises(UntrustedSignerError, match="certificate is not for"):
        verified(SIGNER.sign(team=""))


def test_entitlements_that_were_changed_added_or_removed_are_refused() -> None:
    good = SIGNER.sign(parts=ENTITLED)
    assert verified(good).team == TEAM
    with pytest.raises(TamperedError, match="part 5"):
        verified(good.replace(b"<false/>", b"<true/> "))
    for signed, shown in (({}, ENTITLED), (ENTITLED, {})):
        with pytest.raises(TamperedError, match="part 5"):
            verified(exchanged(signed, shown))


def exchanged(signed: dict[int, bytes], shown: dict[int, bytes]) -> bytes:
    """Returns code whose signature has other parts than its code directory was made for."""
    from support.apple_signer import code_directory, superblob

    front = slices_of(memoryview(SIGNER.sign()))[0]
    directory = code_directory(bytes(front.code), "com.acme.app", TEAM, 0x10000, signed)
    content = SIGNER.cms(directory, None)
    cms = (0xFADE0B01).to_bytes(4, "big") + (8 + len(content)).to_bytes(4, "big") + content
    parts = superblob({**shown, 0: directory, 0x10000: cms})
    return bytes(front.code) + parts.ljust(len(front.signature), b"\0")


def test_the_signature_of_other_code_is_refused() -> None:
    one, other = SIGNER.sign(b"a" * 12_000), SIGNER.sign(b"b" * 12_000)
    code, signature = slices_of(memoryview(one))[0].code, slices_of(memoryview(other))[0].signature
    with pytest.raises(TamperedError):
        verified(bytes(code) + signature)


def test_a_signature_under_a_root_of_the_attackers_own_is_refused() -> None:
    with pytest.raises(UntrustedSignerError, match="does not lead"):
        verified(AppleSigner().sign())


def test_an_ad_hoc_signature_does_not_pass_for_a_signed_one() -> None:
    with pytest.raises(UntrustedSignerError, match="ad hoc"):
        verified(SIGNER.sign(flags=ADHOC)).require()
    with pytest.raises(SignatureError, match="no signature"):
        verified(strip_cms(SIGNER.sign()))


def strip_cms(data: bytes) -> bytes:
    from modelkeep.posture.apple.blobs import parts_of
    from support.apple_signer import superblob

    part = slices_of(memoryview(data))[0]
    parts = {slot: each for slot, each in parts_of(part.signature).items() if slot != 0x10000}
    return bytes(part.code) + superblob(parts).ljust(len(part.signature), b"\0")


def test_a_slice_that_nobody_signed_is_found() -> None:
    good = SIGNER.sign()
    with pytest.raises(SignatureError):
        verified(fat(good, SIGNER.sign(flags=ADHOC)))
    with pytest.raises(TamperedError):
        verified(fat(good, flipped(good, 100)))


def test_code_behind_or_between_what_is_signed_is_refused() -> None:
    good = SIGNER.sign()
    for bad in (good + b"more", fat(good) + b"more", fat(good).replace(bytes(16), b"something hidden", 1)):
        with pytest.raises(MalformedError):
            verified(bad)


def test_a_model_that_was_changed_within_its_app_is_found(app: Path) -> None:
    assert checked(app).team == TEAM
    weights = app / MODEL / "weights/weight.bin"
    good = weights.read_bytes()
    weights.write_bytes(flipped(good, 100))
    with pytest.raises(TamperedError, match="weight.bin is not the resource"):
        checked(app)
    weights.unlink()
    with pytest.raises(TamperedError, match="weight.bin is missing"):
        checked(app)
    weights.write_bytes(good)
    checked(app)


@pytest.mark.parametrize(
    "name",
    [
        f"{MODEL}/more.bin",
        "Contents/Resources/second.mlmodelc/model.bin",
        "Contents/MacOS/other",
        "Contents/x",
    ],
)
def test_files_that_nobody_signed_are_found(app: Path, name: str) -> None:
    write(app, name, b"planted")
    with pytest.raises(TamperedError, match="not among the resources"):
        checked(app)


def test_lists_and_properties_of_another_release_are_refused(app: Path, tmp_path: Path) -> None:
    other = make_app(tmp_path / "other", SIGNER)
    write(other, f"{MODEL}/coremldata.bin", b"newer metadata")
    shutil.rmtree(other / FRAMEWORK)
    helper = (other / "Contents/MacOS/helper").read_bytes()
    sign_app(other, SIGNER, {"MacOS/helper": cdhash_of(helper, SIGNER)})
    checked(other)
    for name in ("Contents/_CodeSignature/CodeResources", "Contents/MacOS/Sensor"):
        mixed = tmp_path / name.replace("/", "-")
        shutil.copytree(app, mixed, symlinks=True)
        write(mixed, name, (other / name).read_bytes())
        with pytest.raises(TamperedError):
            checked(mixed)
    info = app / "Contents/Info.plist"
    info.write_bytes(info.read_bytes().replace(b"com.acme.app", b"com.acme.bad"))
    with pytest.raises(TamperedError, match="part 1"):
        checked(app)


def test_links_that_lead_elsewhere_are_found(app: Path) -> None:
    link = app / "Contents/Resources/icon-link"
    link.unlink()
    link.symlink_to("/etc/passwd")
    with pytest.raises(TamperedError, match="icon-link"):
        checked(app)
    link.unlink()
    icon = app / "Contents/Resources/icon.icns"
    shutil.copy(icon, app / "Contents/Resources/icon-link")
    with pytest.raises(TamperedError, match="icon-link"):
        checked(app)


def test_nested_code_is_the_one_that_was_signed_along(app: Path) -> None:
    write(app, "Contents/MacOS/helper", SIGNER.sign(b"other" * 900, identifier="com.acme.helper"))
    with pytest.raises(TamperedError, match="helper is not the code"):
        checked(app)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Versions/A/Resources/labels.txt", "not the resource"),
        ("Versions/A/more", "not among the resources"),
        ("Versions/B/Nets", "beside the version"),
        ("payload", "beside the version"),
    ],
)
def test_frameworks_within_an_app_are_looked_into(app: Path, name: str, why: str) -> None:
    write(app, f"{FRAMEWORK}/{name}", b"planted")
    with pytest.raises(TamperedError, match=why):
        checked(app)


def test_another_framework_of_the_same_team_is_refused(app: Path, tmp_path: Path) -> None:
    shutil.rmtree(app / FRAMEWORK)
    other = tmp_path / "other"
    make_framework(other, SIGNER)
    code = other / "Versions/A/Nets"
    code.write_bytes(SIGNER.sign(b"older" * 900, identifier="com.acme.nets", special=parts_of_bundle(other)))
    shutil.copytree(other, app / FRAMEWORK, symlinks=True)
    with pytest.raises(TamperedError, match="framework is not the code"):
        checked(app)


def parts_of_bundle(framework: Path) -> dict[int, bytes]:
    version = framework / "Versions/A"
    names = {1: "Resources/Info.plist", 3: "_CodeSignature/CodeResources"}
    return {slot: (version / name).read_bytes() for slot, name in names.items()}
