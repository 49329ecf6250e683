"""Readers of foreign bytes, each as a function that lets nothing but KeepError happen inside.

Where a format promises one encoding for one meaning, what was read is also written back.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping

from modelkeep.bundle.bundle import Bundle
from modelkeep.errors import KeepError
from modelkeep.inner_manifest import InnerManifest
from modelkeep.keys.grant import Grant
from modelkeep.manifest import Manifest
from modelkeep.runtimes import onnx_graph
from modelkeep.trust import oms
from modelkeep.trust.statement import Statement
from modelkeep.trust.verifier import UnsafeUnsigned


def read_manifest(data: bytes) -> None:
    """Reads a manifest and writes it back; extensions are not kept."""
    manifest = Manifest.from_bytes(data)
    written = manifest.to_bytes()
    assert written == data or b'"ext":{' in data
    assert Manifest.from_bytes(written) == manifest


def read_inner_manifest(data: bytes) -> None:
    """Reads an inner manifest and writes it back; extensions are not kept."""
    inner = InnerManifest.from_bytes(data)
    written = inner.to_bytes()
    assert written == data or b'"ext":{' in data
    assert InnerManifest.from_bytes(written) == inner


def read_grant(data: bytes) -> None:
    """Reads a grant and writes it back; extensions outside its header are not kept."""
    grant = Grant.from_bytes(data)
    written = grant.to_bytes()
    assert written == data or b'"ext":{' in data
    assert Grant.from_bytes(written) == grant


def read_statement(data: bytes) -> None:
    """Reads a signature document and the statement in it."""
    Statement.from_bytes(oms.parse(data).payload)


def read_archive(data: bytes) -> None:
    """Opens an archive and reads everything that needs no key."""
    descriptor = os.memfd_create("archive")
    try:
        os.write(descriptor, data)
        with Bundle(f"/proc/self/fd/{descriptor}") as bundle:
            list(bundle.embedded_grants())
            bundle.verify(UnsafeUnsigned()).check_digests()
    finally:
        os.close(descriptor)


def read_onnx_graph(data: bytes) -> None:
    """Reads contract and external files of an ONNX model."""
    onnx_graph.external_files(memoryview(data))
    onnx_graph.read_contract(memoryview(data))


def fuzz_manifest(data: bytes) -> None:
    """Survives any manifest."""
    _survive(read_manifest, data)


def fuzz_inner_manifest(data: bytes) -> None:
    """Survives any inner manifest."""
    _survive(read_inner_manifest, data)


def fuzz_grant(data: bytes) -> None:
    """Survives any grant."""
    _survive(read_grant, data)


def fuzz_statement(data: bytes) -> None:
    """Survives any signature document."""
    _survive(read_statement, data)


def fuzz_archive(data: bytes) -> None:
    """Survives any archive."""
    _survive(read_archive, data)


def fuzz_onnx_graph(data: bytes) -> None:
    """Survives any ONNX model."""
    _survive(read_onnx_graph, data)


def _survive(read: Callable[[bytes], None], data: bytes) -> None:
    with contextlib.suppress(KeepError):
        read(data)


# What reads good documents, and what must survive bad ones.
READERS: Mapping[str, tuple[Callable[[bytes], None], Callable[[bytes], None]]] = {
    "manifest": (read_manifest, fuzz_manifest),
    "inner manifest": (read_inner_manifest, fuzz_inner_manifest),
    "grant": (read_grant, fuzz_grant),
    "statement": (read_statement, fuzz_statement),
    "archive": (read_archive, fuzz_archive),
    "onnx graph": (read_onnx_graph, fuzz_onnx_graph),
}
