"""Signing, quoting and counting in a TPM; live."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

import pytest

import modelkeep.keys.tpm2
from modelkeep import dsse
from modelkeep.errors import KeyStoreError, MalformedError, PostureError, SignatureError, UsageError
from modelkeep.keys.registry import create_key, open_key
from support.swtpm import SoftwareTpm

OTHER_SYSTEM = b"\x11" * 32


def test_signature_verifies_with_the_public_key(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from modelkeep.keys.tpm2.signer import TpmSigner

    address = f"{tmp_path / 'publisher.tpm'}?pcrs=none"
    assert create_key(f"tpm2:{address}", "signing") is None
    signer = TpmSigner.open(address)
    for number in range(20):
        signature = signer.sign(dsse.pae("text/plain", b"%d" % number))
        dsse.verify(signer.public_key, signature, "text/plain", b"%d" % number)


def test_keys_of_one_use_refuse_the_other(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from modelkeep.keys.tpm2.signer import TpmSigner

    create_key(f"tpm2:{tmp_path / 'publisher.tpm'}", "signing")
    create_key(f"tpm2:{tmp_path / 'device.tpm'}")
    with pytest.raises(UsageError, match="use is 'sign', not 'open'"):
        open_key(f"tpm2:{tmp_path / 'publisher.tpm'}")
    with pytest.raises(UsageError, match="use is 'open', not 'sign'"):
        TpmSigner.open(str(tmp_path / "device.tpm"))
    with pytest.raises(UsageError, match="unknown kind"):
        create_key(f"tpm2:{tmp_path / 'other.tpm'}", "x25519")


def test_quote_proves_pcr_values_for_one_question(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from modelkeep.keys.tpm2.address import TpmAddress
    from modelkeep.keys.tpm2.key import public_key_of
    from modelkeep.keys.tpm2.quote import Quote, verify_quote
    from modelkeep.keys.tpm2.quoting import make_quote

    path, nonce, expected = str(tmp_path / "quote.tpm"), os.urandom(32), {0: bytes(32), 7: bytes(32)}
    create_key(f"tpm2:{path}?pcrs=none", "quote")
    key = public_key_of(TpmAddress.parse(path).read("quote"))
    quote = make_quote(path, (0, 7), nonce)
    verify_quote(quote, key, nonce, expected)
    with pytest.raises(SignatureError, match="another question"):
        verify_quote(quote, key, os.urandom(32), expected)
    for wrong in ({0: bytes(32)}, {0: bytes(32), 7: OTHER_SYSTEM}):
        with pytest.raises(PostureError, match="other PCR"):
            verify_quote(quote, key, nonce, wrong)
    changed = Quote(quote.attested[:-1] + bytes([quote.attested[-1] ^ 1]), quote.signature)
    with pytest.raises(SignatureError, match="is not signed by"):
        verify_quote(changed, key, nonce, expected)
    tpm.extend(7, OTHER_SYSTEM)
    with pytest.raises(PostureError):
        verify_quote(make_quote(path, (0, 7), nonce), key, nonce, expected)


@pytest.mark.parametrize("length", [0, 5, 8, 40, 70, 100])
def test_signed_bytes_that_are_no_quote_are_malformed(length: int) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    from modelkeep.keys.tpm2.quote import Quote, verify_quote

    key = ec.generate_private_key(ec.SECP256R1())
    attested = (bytes.fromhex("ff5443478018") + b"\0\x22" + b"a" * 300)[:length]
    signature = key.sign(attested, ec.ECDSA(hashes.SHA256()))
    with pytest.raises((MalformedError, SignatureError)):
        verify_quote(Quote(attested, signature), key.public_key(), bytes(32), {})


def test_counter_only_grows(tpm: SoftwareTpm) -> None:
    from modelkeep.keys.tpm2.counter import MonotonicCounter

    counter = MonotonicCounter(0x01800100, tpm.tcti)
    with pytest.raises(KeyStoreError, match="no counter"):
        counter.read()
    first = counter.create()
    assert [counter.increment(), counter.increment(), counter.read()] == [first + 1, first + 2, first + 2]
    tpm.restart()
    counter = MonotonicCounter(0x01800100, tpm.tcti)
    assert counter.read() == first + 2
    with pytest.raises(UsageError, match="already"):
        counter.create()
    counter.delete()
    assert counter.create() > first + 2


def test_counter_of_a_key_tells_its_next_number_also_the_first_and_after_a_crash(tpm: SoftwareTpm) -> None:
    from tpm2_pytss import ESAPI

    from modelkeep.keys.tpm2.counter import MonotonicCounter
    from modelkeep.keys.tpm2.key_counter import KeyCounter, index_of

    MonotonicCounter(0x01800100, tpm.tcti).create()
    # As after a crash while the trial counter was alive.
    MonotonicCounter(index_of(b"a key") + 1, tpm.tcti).create()
    counter = KeyCounter(b"a key", tpm.tcti)
    assert counter.value() is None
    first = counter.upcoming()
    # As after a crash between defining and counting.
    with ESAPI(tpm.tcti) as esapi:
        esapi.nv_define_space(b"", counter_space(index_of(b"a key")))
    assert (counter.value(), counter.upcoming()) == (None, first + 1)
    assert counter.advance() == counter.value() == first + 1
    assert counter.upcoming() == counter.advance() == first + 2
    assert KeyCounter(b"another key", tpm.tcti).value() is None
    counter.delete()
    counter.delete()
    assert counter.value() is None


def counter_space(index: int) -> Any:
    from tpm2_pytss import TPM2_ALG, TPM2_NT, TPM2B_NV_PUBLIC, TPMA_NV, TPMS_NV_PUBLIC

    attributes = (TPM2_NT.COUNTER << 4) | TPMA_NV.AUTHREAD | TPMA_NV.AUTHWRITE | TPMA_NV.NO_DA
    return TPM2B_NV_PUBLIC(
        TPMS_NV_PUBLIC(nvIndex=index, nameAlg=TPM2_ALG.SHA256, attributes=attributes, dataSize=8)
    )


def test_counters_stay_within_the_indexes_of_owners(tpm: SoftwareTpm) -> None:
    from modelkeep.keys.tpm2.counter import MonotonicCounter

    with pytest.raises(UsageError, match="NV indexes"):
        MonotonicCounter(0x01C00002, tpm.tcti)


def parts_of_temporaries(code: str) -> list[int]:
    """Returns the lines on which a part of a result is taken before a variable holds the result."""
    taken = (part for node in ast.walk(ast.parse(code)) for part in _taken_apart(node))
    return [part.lineno for part in taken if _is_library_call(part)]


def _taken_apart(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        return [node.value]
    # What a function is given, it may take apart; the context's own methods only take handles.
    if isinstance(node, ast.Call) and not _is_library_call(node) and not _keeps_handles(node):
        return [*node.args, *(keyword.value for keyword in node.keywords)]
    return []


def _keeps_handles(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "flush_later"


def _is_library_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and "esapi" in ast.unparse(node.func).split(".")


def test_no_part_is_taken_of_a_temporary_result() -> None:
    # tpm2-pytss 2.3 and 3.0 free a result with its last reference, and its parts with it: what a
    # part of a temporary then reads is whatever the process put there since.
    folder = Path(modelkeep.keys.tpm2.__path__[0])
    found = {path.name: parts_of_temporaries(path.read_text()) for path in folder.glob("*.py")}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "code",
    [
        "tpm.esapi.ecdh_zgen(key, peer).point.x",
        "tpm.esapi.create(parent)[0]",
        "bytes(tpm.esapi.unseal(data, session1=session))",
        "secret.view[:] = tpm.esapi.unseal(data).buffer",
        "wipe(data=tpm.esapi.unseal(data))",
        "print(*tpm.esapi.create(parent))",
    ],
)
def test_the_search_for_parts_of_temporaries_finds_them(code: str) -> None:
    assert parts_of_temporaries(code) == [1]


def test_key_file_that_is_not_one_is_refused(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from dataclasses import replace

    from tpm2_pytss import TPM2B_PUBLIC

    from modelkeep import canonical
    from modelkeep.errors import UnsupportedVersionError
    from modelkeep.keys.tpm2.key_file import KeyFile
    from modelkeep.keys.tpm2.templates import storage_primary

    path = tmp_path / "device.tpm"
    create_key(f"tpm2:{path}")
    good, document = KeyFile.read(path), canonical.decode(path.read_bytes(), "key file")
    # A key that could leave its TPM, one that is none, bytes that are nothing, and a torn one.
    movable = TPM2B_PUBLIC.parse("ecc256", objectAttributes="userwithauth|decrypt").marshal()
    for public in (movable, storage_primary().marshal(), b"nothing", good.public + b"\0"):
        replace(good, public=public).write(path, force=True)
        with pytest.raises(MalformedError):
            open_key(f"tpm2:{path}")
    for change in ({"pcrs": [7, 7]}, {"pcrs": ["7"]}, {"authority": "AAAA"}, {"use": "eat"}):
        path.write_bytes(canonical.encode({**document, **change}))
        with pytest.raises(MalformedError):
            open_key(f"tpm2:{path}")
    path.write_bytes(canonical.encode({**document, "version": 2}))
    with pytest.raises(UnsupportedVersionError):
        open_key(f"tpm2:{path}")


def test_nothing_secret_shows_in_the_text_of_handles(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from modelkeep.keys.tpm2.address import TpmAddress
    from modelkeep.keys.tpm2.key import TpmKey
    from modelkeep.keys.tpm2.signer import TpmSigner

    create_key(f"tpm2:{tmp_path / 'publisher.tpm'}", "signing")
    create_key(f"tpm2:{tmp_path / 'device.tpm'}")
    address = TpmAddress.parse(str(tmp_path / "device.tpm"))
    key = TpmKey(address.read("open"), address.tcti)
    signer = TpmSigner.open(str(tmp_path / "publisher.tpm"))
    assert (repr(key), repr(signer)) == ("TpmKey(hidden)", "TpmSigner(hidden)")


def test_nonce_has_its_length() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from modelkeep.keys.tpm2.quote import Quote, verify_quote

    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(UsageError, match="nonce"):
        verify_quote(Quote(b"", b""), key, b"short", {})


def test_store_reports_the_tpm_it_found(tpm: SoftwareTpm) -> None:
    from modelkeep.keys.management import examine_stores

    (report,) = [report for report in examine_stores() if report.scheme == "tpm2"]
    assert report.usable
    assert tpm.tcti in report.detail
    assert "manufacturer IBM (SW TPM): software" in report.detail
    assert report.level is not None
    assert report.level.value == "software"


@pytest.mark.parametrize(
    ("manufacturer", "level", "said"),
    [
        ("IFX", "TPM", "a chip of its own"),
        ("INTC", "TPM", "firmware of the processor"),
        ("MSFT", "software", "it does not say which"),
        ("XYZ", "TPM", "is not known here"),
        ("", "TPM", "manufacturer without a name: whether"),
    ],
)
def test_level_follows_from_the_manufacturer(
    tpm: SoftwareTpm, manufacturer: str, level: str, said: str
) -> None:
    from modelkeep.keys.tpm2.maker import Maker

    maker = Maker(manufacturer, "")
    assert (maker.protection.level.value, said in str(maker)) == (level, True)
