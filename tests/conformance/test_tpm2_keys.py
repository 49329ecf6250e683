"""What a TPM promises about its keys, and what it says when it cannot help; live."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from modelkeep.errors import (
    KeyStoreError,
    NotForThisDeviceError,
    SignatureError,
    StorageError,
    UsageError,
)
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.grant import Grant
from modelkeep.grants.recipient import issue
from modelkeep.keys.identity import Identity
from modelkeep.keys.management import delete_key, describe_key
from modelkeep.keys.registry import create_key, open_key
from support.swtpm import SoftwareTpm, copy_of, loaded, manufacture

BUNDLE = bytes(range(16))
OTHER_SYSTEM = b"\x11" * 32
POLICY_FAIL = 0x9D


def create(uri: str, *, force: bool = False) -> Grant:
    """Makes a key and a grant for it."""
    recipient = create_key(uri, force=force)
    assert recipient is not None
    with DataKey.from_buffer(bytearray(range(32))) as key:
        return issue(recipient, BUNDLE, key)


def opens(uri: str, grant: Grant) -> bool:
    with Identity(uri) as identity, identity.unwrap(identity.select([grant], BUNDLE), BUNDLE) as unwrapped:
        return bytes(unwrapped.data_key.view) == bytes(range(32))


def key_of(uri: str) -> ec.EllipticCurvePrivateKey:
    from modelkeep.keys.tpm2.address import TpmAddress
    from modelkeep.keys.tpm2.key import TpmKey

    address = TpmAddress.parse(uri.removeprefix("tpm2:"))
    return TpmKey(address.read("open"), address.tcti, address.passphrase())


def test_private_key_refuses_to_be_asked_for(tpm: SoftwareTpm, tmp_path: Path) -> None:
    create(f"tpm2:{tmp_path / 'key.tpm'}")
    key = key_of(f"tpm2:{tmp_path / 'key.tpm'}")
    with pytest.raises(UnsupportedAlgorithm):
        key.private_numbers()
    with pytest.raises(UnsupportedAlgorithm):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_tpm_refuses_to_duplicate_the_key(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from tpm2_pytss import ESYS_TR, TPM2_ALG, TPM2B_DATA, TPMT_SYM_DEF_OBJECT, TSS2_Exception

    from modelkeep.keys.tpm2.device import connected
    from modelkeep.keys.tpm2.key_file import KeyFile
    from modelkeep.keys.tpm2.session import using

    create(f"tpm2:{tmp_path / 'key.tpm'}?pcrs=none")
    key_file = KeyFile.read(tmp_path / "key.tpm")
    nothing = TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL)
    with (
        connected(tpm.tcti) as opened,
        using(opened, key_file, None) as (key, session),
        pytest.raises(TSS2_Exception) as refusal,
    ):
        opened.esapi.duplicate(key, ESYS_TR.NULL, TPM2B_DATA(), nothing, session1=session)
    assert refusal.value.error == POLICY_FAIL


def test_tpm_confirms_that_the_key_is_fixed_and_was_made_inside(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from tpm2_pytss import ESAPI, TPMA_OBJECT

    create(f"tpm2:{tmp_path / 'key.tpm'}?handle=0x81010017")
    with ESAPI(tpm.tcti) as esapi:
        answer = esapi.read_public(esapi.tr_from_tpmpublic(0x81010017))
        attributes = answer[0].publicArea.objectAttributes
    assert attributes & TPMA_OBJECT.FIXEDTPM
    assert attributes & TPMA_OBJECT.FIXEDPARENT
    assert attributes & TPMA_OBJECT.SENSITIVEDATAORIGIN
    assert not attributes & TPMA_OBJECT.USERWITHAUTH


def test_key_without_its_policy_is_refused(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from tpm2_pytss import TPM2B_ECC_POINT, TPMS_ECC_POINT

    from modelkeep.keys.point import coordinates_of
    from modelkeep.keys.tpm2.device import connected
    from modelkeep.keys.tpm2.key_file import KeyFile
    from modelkeep.keys.tpm2.session import using

    create(f"tpm2:{tmp_path / 'key.tpm'}")
    x, y = coordinates_of(ec.generate_private_key(ec.SECP256R1()).public_key())
    point = TPM2B_ECC_POINT(TPMS_ECC_POINT(x=x, y=y))
    with (
        pytest.raises(KeyStoreError, match="needs its policy"),
        connected(tpm.tcti) as opened,
        using(opened, KeyFile.read(tmp_path / "key.tpm"), None) as (key, _session),
    ):
        opened.esapi.ecdh_zgen(key, point)


def test_point_off_the_curve_is_refused_by_the_tpm_too(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from tpm2_pytss import TPM2B_ECC_POINT, TPMS_ECC_POINT

    from modelkeep.keys.tpm2.device import connected
    from modelkeep.keys.tpm2.key_file import KeyFile
    from modelkeep.keys.tpm2.session import using

    create(f"tpm2:{tmp_path / 'key.tpm'}")
    point = TPM2B_ECC_POINT(TPMS_ECC_POINT(x=bytes(31) + b"\1", y=bytes(31) + b"\2"))
    with (
        pytest.raises(KeyStoreError, match="refused the sender's public key"),
        connected(tpm.tcti) as opened,
        using(opened, KeyFile.read(tmp_path / "key.tpm"), None) as (key, session),
    ):
        opened.esapi.ecdh_zgen(key, point, session1=session)


@pytest.mark.parametrize("leading_zero", [False, True])
def test_agreement_equals_that_of_the_other_side(
    tpm: SoftwareTpm, tmp_path: Path, leading_zero: bool
) -> None:
    create(f"tpm2:{tmp_path / 'key.tpm'}")
    key = key_of(f"tpm2:{tmp_path / 'key.tpm'}")
    ours = key.public_key()
    for _ in range(5):
        other, expected = agreed(ours, leading_zero=leading_zero)
        assert key.exchange(ec.ECDH(), other.public_key()) == expected


def agreed(
    ours: ec.EllipticCurvePublicKey, *, leading_zero: bool
) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """Returns a key and its agreement with ours, whose first byte is zero or not."""
    while True:
        other = ec.generate_private_key(ec.SECP256R1())
        secret = other.exchange(ec.ECDH(), ours)
        if (secret[0] == 0) == leading_zero:
            return other, secret


def test_another_boot_state_is_refused_and_the_old_one_opens_again(tpm: SoftwareTpm, tmp_path: Path) -> None:
    uri = f"tpm2:{tmp_path / 'key.tpm'}?pcrs=7&tcti={{}}"
    grant = create(uri.format(tpm.tcti))
    tpm.extend(7, OTHER_SYSTEM)
    with pytest.raises(KeyStoreError, match="state that the key is bound to") as refusal:
        opens(uri.format(tpm.tcti), grant)
    assert refusal.value.hint is not None
    assert "modelkeep keys approve" in refusal.value.hint
    tpm.restart()
    assert opens(uri.format(tpm.tcti), grant)


@pytest.fixture
def authority(tmp_path: Path) -> Any:
    from modelkeep.key_purpose import Purpose
    from modelkeep.trust.signer import Signer
    from modelkeep.trust.signing_keys import create_signing_key

    (tmp_path / "authority.pub").write_bytes(create_signing_key(tmp_path / "authority.pem", "approving"))
    return Signer.from_pem(tmp_path / "authority.pem", purpose=Purpose.APPROVE)


def test_key_outlives_an_update_that_its_authority_approves(
    tpm: SoftwareTpm, tmp_path: Path, authority: Any
) -> None:
    from modelkeep.keys.management import approve_key
    from modelkeep.keys.tpm2.policy import approve

    path = tmp_path / "key.tpm"
    uri = f"tpm2:{path}?pcrs=7,11&authority={tmp_path / 'authority.pub'}"
    grant = create(uri)
    with pytest.raises(KeyStoreError, match="is not approved"):
        opens(uri, grant)
    # What the authority knows of both systems beforehand, without a TPM.
    now = {7: bytes(32), 11: bytes(32)}
    updated = {7: bytes(32), 11: hashlib.sha256(bytes(32) + OTHER_SYSTEM).digest()}
    approve_key(f"tpm2:{path}", approval=approve((7, 11), now, authority))
    assert opens(uri, grant)
    approve_key(f"tpm2:{path}", approval=approve((7, 11), updated, authority))
    tpm.extend(11, OTHER_SYSTEM)
    assert opens(uri, grant)
    tpm.extend(11, OTHER_SYSTEM)
    with pytest.raises(KeyStoreError, match="is not approved"):
        opens(uri, grant)
    tpm.restart()
    assert opens(f"{uri}&tcti={tpm.tcti}", grant)


def test_approval_of_somebody_else_is_not_added_and_not_obeyed(
    tpm: SoftwareTpm, tmp_path: Path, authority: Any
) -> None:
    from dataclasses import replace

    from modelkeep.keys.management import approve_key
    from modelkeep.keys.tpm2.key_file import KeyFile
    from modelkeep.keys.tpm2.policy import approve
    from modelkeep.trust.signer import Signer

    path = tmp_path / "key.tpm"
    uri = f"tpm2:{path}?authority={tmp_path / 'authority.pub'}"
    grant = create(uri)
    forged = approve((7,), {7: bytes(32)}, Signer(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(SignatureError, match="not signed by this key's authority"):
        approve_key(f"tpm2:{path}", approval=forged)
    replace(KeyFile.read(path), approvals=(forged,)).write(path, force=True)
    with pytest.raises(KeyStoreError, match="does not verify"):
        opens(uri, grant)


def test_key_bound_to_one_state_takes_no_approval(tpm: SoftwareTpm, tmp_path: Path, authority: Any) -> None:
    from modelkeep.keys.management import approve_key
    from modelkeep.keys.tpm2.policy import approve

    create(f"tpm2:{tmp_path / 'key.tpm'}")
    with pytest.raises(UsageError, match="one state of the device"):
        approve_key(f"tpm2:{tmp_path / 'key.tpm'}", approval=approve((7,), {7: bytes(32)}, authority))


def test_wrong_passphrases_lock_and_the_owner_unlocks(
    tpm: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tpm2_pytss import ESAPI

    monkeypatch.setenv("RIGHT", "right")
    monkeypatch.setenv("WRONG", "wrong")
    guarded, open_one = f"tpm2:{tmp_path / 'guarded.tpm'}", f"tpm2:{tmp_path / 'open.tpm'}"
    grant, other = create(f"{guarded}?auth-env=RIGHT"), create(open_one)
    seen = {failure_of(lambda: opens(f"{guarded}?auth-env=WRONG", grant)) for _ in range(8)}
    assert {words.split(" (")[0] for words in seen} == {
        "the passphrase of the key is wrong",
        "the TPM is locked after wrong passphrases or hard power-offs",
    }
    with pytest.raises(KeyStoreError, match="locked"):
        opens(f"{guarded}?auth-env=RIGHT", grant)
    assert opens(open_one, other)
    with ESAPI(tpm.tcti) as esapi:
        esapi.dictionary_attack_lock_reset()
    assert opens(f"{guarded}?auth-env=RIGHT", grant)


def failure_of(work: Callable[[], object]) -> str:
    with pytest.raises(KeyStoreError) as refusal:
        work()
    return str(refusal.value)


def test_hard_power_offs_do_not_lock_a_key_without_passphrase(tpm: SoftwareTpm, tmp_path: Path) -> None:
    uri = f"tpm2:{tmp_path / 'key.tpm'}?tcti={{}}"
    grant = create(uri.format(tpm.tcti))
    for _ in range(6):
        assert opens(uri.format(tpm.tcti), grant)
        tpm.restart(clean=False)
    assert opens(uri.format(tpm.tcti), grant)


def test_passphrase_is_asked_for(tpm: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHT", "right")
    create(f"tpm2:{tmp_path / 'key.tpm'}?auth-env=RIGHT")
    with pytest.raises(KeyStoreError, match="needs a passphrase"):
        open_key(f"tpm2:{tmp_path / 'key.tpm'}")


def test_nothing_stays_loaded_even_after_failures(tpm: SoftwareTpm, tmp_path: Path) -> None:
    uri = f"tpm2:{tmp_path / 'key.tpm'}"
    grant = create(uri)
    assert opens(uri, grant)
    tpm.extend(7, OTHER_SYSTEM)
    with pytest.raises(KeyStoreError):
        opens(uri, grant)
    assert loaded(tpm.tcti) == []


def test_full_tpm_says_so_and_serves_again(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from tpm2_pytss import ESAPI, TPM2B_SENSITIVE_CREATE

    from modelkeep.keys.tpm2.templates import storage_primary

    uri = f"tpm2:{tmp_path / 'key.tpm'}"
    grant = create(uri)
    with ESAPI(tpm.tcti) as esapi:
        others = [esapi.create_primary(TPM2B_SENSITIVE_CREATE(), storage_primary())[0] for _ in range(3)]
    with pytest.raises(KeyStoreError, match="no room to load a key") as refusal:
        opens(uri, grant)
    assert "resource manager" in (refusal.value.hint or "")
    assert len(others) == 3
    tpm.restart()
    assert opens(f"{uri}?tcti={tpm.tcti}", grant)


def test_full_nv_leaves_no_half_made_key(tpm: SoftwareTpm, tmp_path: Path) -> None:
    grants: dict[str, Grant] = {}
    with pytest.raises(KeyStoreError, match="no space left for persistent objects") as refusal:
        for number in range(64):
            uri = f"tpm2:{tmp_path / f'{number}.tpm'}?handle={0x81010100 + number:#x}"
            grants[uri] = create(uri)
    assert "handle=" in (refusal.value.hint or "")
    assert len(list(tmp_path.glob("*.tpm"))) == len(grants) > 0
    assert opens(*next(iter(grants.items())))
    delete_key(next(iter(grants)))
    create(f"tpm2:{tmp_path / 'last.tpm'}?handle=0x81010099")


def test_handle_that_is_taken_is_left_alone(tpm: SoftwareTpm, tmp_path: Path) -> None:
    first, second = (f"tpm2:{tmp_path / name}?handle=0x81010017" for name in ("a.tpm", "b.tpm"))
    grant = create(first)
    with pytest.raises(UsageError, match="has a key at 0x81010017 already"):
        create(second)
    assert opens(first, grant)
    assert not (tmp_path / "b.tpm").exists()
    # Not by force either: that is for the key whose file is replaced.
    with pytest.raises(UsageError, match=r"b\.tpm is not its file"):
        create_key(second, force=True)
    assert opens(first, grant)


def test_a_persistent_key_is_replaced_by_one_with_its_file(tpm: SoftwareTpm, tmp_path: Path) -> None:
    uri = f"tpm2:{tmp_path / 'a.tpm'}?handle=0x81010017"
    grant = create(uri)
    newer = create(uri, force=True)
    assert opens(uri, newer)
    with pytest.raises(NotForThisDeviceError):
        opens(uri, grant)


def test_a_replacement_that_cannot_be_written_leaves_the_persistent_key(
    tpm: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"tpm2:{tmp_path / 'a.tpm'}?handle=0x81010017"
    grant = create(uri)
    from modelkeep import storage

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(storage, "write_at", full)
        with pytest.raises(StorageError, match="no space left"):
            create_key(uri, force=True)
    assert opens(uri, grant)


@pytest.mark.parametrize("handle", ["0x81000001", "0x40000001", "0x81800000", "zero"])
def test_handles_of_others_are_refused(tpm: SoftwareTpm, tmp_path: Path, handle: str) -> None:
    with pytest.raises(UsageError, match="handle"):
        create(f"tpm2:{tmp_path / 'key.tpm'}?handle={handle}")


def test_key_of_another_tpm_is_recognised(tpm: SoftwareTpm, tmp_path: Path) -> None:
    uri = f"tpm2:{tmp_path / 'key.tpm'}"
    grant = create(uri)
    manufacture(tmp_path / "made")
    other = copy_of(tmp_path / "made", tmp_path / "other")
    other.start()
    try:
        with pytest.raises(KeyStoreError, match="belongs to another TPM"):
            opens(f"{uri}?tcti={other.tcti}", grant)
    finally:
        other.stop(clean=False)


def test_tpm_that_is_gone_is_named(tpm: SoftwareTpm, tmp_path: Path) -> None:
    uri = f"tpm2:{tmp_path / 'key.tpm'}"
    grant = create(uri)
    tpm.stop()
    with pytest.raises(KeyStoreError, match="cannot be reached"):
        opens(uri, grant)
    with pytest.raises(KeyStoreError, match="no such file") as refusal:
        opens(f"{uri}?tcti=device:{tmp_path / 'tpmrm0'}", grant)
    assert "no TPM" in (refusal.value.hint or "")


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Gives up root's right to open what is held exclusively, for the block."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(own)


def test_tpm_held_by_another_process_is_named(tpm: SoftwareTpm) -> None:
    import fcntl
    import termios

    # A terminal in exclusive mode refuses a second opener just as /dev/tpm0 does.
    _controller, terminal = os.openpty()
    name = os.ttyname(terminal)
    Path(name).chmod(0o666)
    fcntl.ioctl(terminal, termios.TIOCEXCL)
    with pytest.raises(KeyStoreError, match="another process holds the TPM") as refusal, ordinary_user():
        create(f"tpm2:key.tpm?tcti=device:{name}")
    assert "device:/dev/tpmrm0" in (refusal.value.hint or "")


def test_description_tells_what_matters_and_no_secret(tpm: SoftwareTpm, tmp_path: Path) -> None:
    create(f"tpm2:{tmp_path / 'key.tpm'}")
    described = describe_key(f"tpm2:{tmp_path / 'key.tpm'}")
    assert described["use"] == "open"
    assert described["installations"] == "sealed to the TPM"
    assert described["pcrs"] == {"7": "00" * 32}
    assert (described["level"], described["tpm"].startswith("manufacturer IBM")) == ("software", True)


@pytest.mark.parametrize("parent", ["rsa2048:aes128cfb", "ecc256:aes128cfb"])
def test_storage_key_of_the_platform_is_used_where_there_is_one(
    tpm: SoftwareTpm, tmp_path: Path, parent: str
) -> None:
    from tpm2_pytss import ESAPI, ESYS_TR, TPM2B_PUBLIC, TPM2B_SENSITIVE_CREATE

    from modelkeep.keys.tpm2.key_file import KeyFile

    attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"
    with ESAPI(tpm.tcti) as esapi:
        template = TPM2B_PUBLIC.parse(parent, objectAttributes=attributes)
        made = esapi.create_primary(TPM2B_SENSITIVE_CREATE(), template)
        esapi.evict_control(ESYS_TR.OWNER, made[0], 0x81000001)
        esapi.flush_context(made[0])
    uri = f"tpm2:{tmp_path / 'key.tpm'}"
    grant = create(uri)
    assert KeyFile.read(tmp_path / "key.tpm").parent == 0x81000001
    assert opens(uri, grant)
    assert loaded(tpm.tcti) == []
    with ESAPI(tpm.tcti) as esapi:
        kept = esapi.tr_from_tpmpublic(0x81000001)
        esapi.evict_control(ESYS_TR.OWNER, kept, 0x81000001)
    with pytest.raises(KeyStoreError, match="not in this TPM"):
        opens(uri, grant)


def test_failed_write_leaves_nothing_in_the_tpm(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from modelkeep.errors import StorageError

    with pytest.raises(StorageError):
        create(f"tpm2:{tmp_path / 'nowhere' / 'key.tpm'}?handle=0x81010017")
    create(f"tpm2:{tmp_path / 'key.tpm'}?handle=0x81010017")


@pytest.mark.parametrize("pcrs", ["24", "7,x", "", "-1", "7,7,8,99"])
def test_pcrs_that_do_not_exist_are_refused(tpm: SoftwareTpm, tmp_path: Path, pcrs: str) -> None:
    with pytest.raises(UsageError):
        create(f"tpm2:{tmp_path / 'key.tpm'}?pcrs={pcrs}")


def test_authority_has_to_be_a_p256_key_with_pcrs_to_approve(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from modelkeep.trust.signing_keys import create_signing_key

    (tmp_path / "large.pub").write_bytes(create_signing_key(tmp_path / "large.pem", "signing-p384"))
    (tmp_path / "small.pub").write_bytes(create_signing_key(tmp_path / "small.pem"))
    (tmp_path / "none.pub").write_text("no key")
    for options in ("authority=large.pub", "authority=small.pub&pcrs=none", "authority=none.pub"):
        with pytest.raises(UsageError):
            create(f"tpm2:{tmp_path / 'key.tpm'}?{options.replace('=', f'={tmp_path}/', 1)}")


def test_damaged_approval_in_the_key_file_is_refused(
    tpm: SoftwareTpm, tmp_path: Path, authority: Any
) -> None:
    from dataclasses import replace

    from modelkeep.keys.tpm2.key_file import KeyFile
    from modelkeep.keys.tpm2.policy import Approval, approve

    path = tmp_path / "key.tpm"
    uri = f"tpm2:{path}?authority={tmp_path / 'authority.pub'}"
    grant = create(uri)
    digest = approve((7,), {7: bytes(32)}, authority).digest
    damaged = Approval(digest, b"not DER")
    replace(KeyFile.read(path), approvals=(damaged,)).write(path, force=True)
    with pytest.raises(KeyStoreError, match="approval of the PCR values is damaged"):
        opens(uri, grant)


def test_a_signer_that_is_closed_has_wiped_its_passphrase(
    tpm: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelkeep.keys.tpm2.signer import TpmSigner

    monkeypatch.setenv("WORD", "secret")
    address = f"{tmp_path / 'publisher.tpm'}?pcrs=none&auth-env=WORD"
    create_key(f"tpm2:{address}", "signing")
    with TpmSigner.open(address) as signer:
        signer.sign(b"message")
        assert signer._auth is not None
        kept = signer._auth.view
        assert bytes(kept) == b"secret"
        wiped: list[object] = []
        close = signer._auth.close
        monkeypatch.setattr(signer._auth, "close", lambda: wiped.append(kept))
    assert wiped == [kept]
    kept.release()
    close()
    with pytest.raises(UsageError, match="closed"):
        signer.sign(b"message")
