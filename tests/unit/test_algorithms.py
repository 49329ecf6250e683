"""The table of algorithms is whole, and what is made of it says what it says."""

from __future__ import annotations

import ast
from pathlib import Path

from tools.bill import bill

import modelkeep
from modelkeep.assurance.algorithms import ALGORITHMS
from modelkeep.probes.fips import _library, fips_reports
from modelkeep.probes.system import System
from support.command_line import CommandLine

SOURCES = Path(modelkeep.__file__).parent
# What is imported from pyca/cryptography to compute with, and how the table calls it.
NAMES = {
    "aead.AESGCM": "AES-256-GCM",
    "aead.ChaCha20Poly1305": "ChaCha20-Poly1305",
    "hkdf.HKDF": "HKDF-SHA-256",
    "hkdf.HKDFExpand": "HKDF-SHA-256",
    "keywrap.aes_key_wrap": "AES-256-KW",
    "keywrap.aes_key_unwrap": "AES-256-KW",
    "asymmetric.ec": "ECDSA",
    "asymmetric.x25519": "X25519",
    "asymmetric.mlkem": "ML-KEM-768",
    "asymmetric.rsa": "RSA-PKCS1-1.5",
    "asymmetric.padding": "RSA-OAEP",
    "mldsa.MLDSA65PrivateKey": "ML-DSA-65",
    "mldsa.MLDSA65PublicKey": "ML-DSA-65",
    "x25519.X25519PrivateKey": "X25519",
    "hpke.Suite": "HPKE",
    "scrypt.Scrypt": "scrypt",
    "kbkdf.KBKDFHMAC": "KDFa, KDFe",
    "concatkdf.ConcatKDFHash": "KDFa, KDFe",
    "modes.CFB": "AES-CFB",
    "ciphers.modes": "AES-256-CBC",
    "primitives.hashes": "SHA-256",
}
# Forms, types and errors.
OTHERS = {
    "serialization",
    "Encoding",
    "PublicFormat",
    "PrivateFormat",
    "algorithms",
    "Cipher",
    "Prehashed",
    "InvalidUnwrap",
}


def imported() -> set[str]:
    """Returns the last two words of what is imported from the primitives of pyca/cryptography."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "cryptography.hazmat.primitives"
            ):
                found |= {f"{(node.module or '').split('.')[-1]}.{alias.name}" for alias in node.names}
    return found


def test_every_algorithm_that_is_imported_is_in_the_table() -> None:
    listed = {each.name for each in ALGORITHMS}
    assert set(NAMES.values()) <= listed
    unknown = {
        name
        for name in imported() - NAMES.keys()
        if name.split(".")[1] not in OTHERS
        and not name.startswith(("utils.", "types.", "kbkdf.", "hpke.", "serialization."))
    }
    assert unknown - {"primitives.padding"} == set()
    assert "aead.AESGCM" in imported()


def test_the_bill_names_every_dependency_and_algorithm_once() -> None:
    document = bill()
    references = [each["bom-ref"] for each in document["components"]]
    assert len(references) == len(set(references))
    assert {"pkg:pypi/cryptography", "pkg:pypi/numpy", "python"} <= set(references)
    provided = {each for entry in document["dependencies"] for each in entry.get("provides", ())}
    assert provided == {f"crypto/{each.name}" for each in ALGORITHMS} == provided & set(references)
    optional = {each["name"] for each in document["components"] if each.get("scope") == "optional"}
    assert "onnxruntime" in optional and "cryptography" not in optional


def test_what_libraries_say_of_fips(shop: CommandLine, tmp_path: Path) -> None:
    assert [each.in_force for each in fips_reports(System(tmp_path)) if each.name == "kernel"] == [False]
    (tmp_path / "proc/sys/crypto").mkdir(parents=True)
    (tmp_path / "proc/sys/crypto/fips_enabled").write_text("1\n")
    assert fips_reports(System(tmp_path))[0].in_force
    assert _library("a", "OpenSSL", lambda: False).in_force
    assert not _library("a", "OpenSSL", lambda: True).in_force
    facts = shop.ok("modelkeep doctor --fips --json").json
    shown = shop.ok("modelkeep doctor --fips").out
    assert facts["fips"].keys() == {"kernel", "cryptography", "hashlib", "blake3"}
    assert all(each["name"] in shown for each in facts["algorithms"])
