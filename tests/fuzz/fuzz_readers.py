"""Readers of foreign bytes, each as a function that lets nothing but KeepError happen inside.

Where a format promises one encoding for one meaning, what was read is also written back.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.utils import CryptographyDeprecationWarning

from fuzz import guard_readers, posture_readers, repository_readers, update_readers
from modelkeep import canonical
from modelkeep.bundle.arriving import ArrivingBundle
from modelkeep.bundle.bundle import Bundle
from modelkeep.bundle.install_record import InstallRecord
from modelkeep.bundle.installation import Installation, is_installation
from modelkeep.bundle.slot_folder import SlotFolder
from modelkeep.container import names
from modelkeep.device.state_file import read_state
from modelkeep.errors import KeepError, RefusedError, UsageError
from modelkeep.formats import executorch, gguf, ncnn, onnx_graph, openvino_ir, ort, shards, tflite
from modelkeep.formats.registry import every_format
from modelkeep.grants import sidecar
from modelkeep.grants.device_list import is_device, parse_device
from modelkeep.grants.glance import Glance
from modelkeep.grants.grant import Grant
from modelkeep.grants.header import PASSPHRASE
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.inner_manifest import InnerManifest
from modelkeep.keys.identity import Identity
from modelkeep.manifest import Manifest
from modelkeep.model_entries import find_entries
from modelkeep.trust import oms
from modelkeep.trust.document_report import statements
from modelkeep.trust.envelope import Envelope
from modelkeep.trust.roots import Roots
from modelkeep.trust.statement import Statement
from modelkeep.trust.timestamps import earliest
from modelkeep.trust.unsigned import UnsafeUnsigned
from support.time_authority import certificate

# A device whose key everybody knows, and which has no state.
DEVICE = HpkeHandle(ec.derive_private_key(17, ec.SECP256R1()))
ROOT = ec.derive_private_key(19, ec.SECP256R1()).public_key()
_, AUTHORITY = certificate("an authority of time")
STATE_CONTEXT = b"modelkeep/v1/state"


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


def read_trust_document(data: bytes) -> None:
    """Reads a trust file, a roots document or a ticket, says it in words, and writes it back."""
    envelope = Envelope.from_bytes(data)
    assert envelope.to_bytes() == data or b'"ext":{' in data
    assert statements(envelope, 0)
    Roots.of_keys([ROOT]).following(envelope.documents)


def read_timestamp(data: bytes) -> None:
    """Verifies a timestamp of nobody who is believed."""
    with warnings.catch_warnings():
        # Of certificates that the mutator has made, which are refused all the same.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        assert earliest([data], b"a signature", [AUTHORITY]) is None


def read_glance(data: bytes) -> None:
    """Holds a glance at a grant against its parser: what is for a key is never passed over."""
    others = Glance("hpke-p256", bytes(16)).may_fit(data)
    header = Grant.from_bytes(data).header
    if header.type == PASSPHRASE:
        return
    assert Glance(header.type, header.key_id).may_fit(data)
    assert others == (header.type == "hpke-p256" and header.key_id == bytes(16)) or b'"ext"' in data


def read_grant_file(data: bytes) -> None:
    """Reads a file of grants, one a line, whole and through a glance."""
    with _file(data) as path:
        list(sidecar.read(path, glance=Glance("hpke-p256", bytes(16))))
        list(sidecar.read(path))
        assert len(list(sidecar.encoded(path))) == data.count(b"\n")


def read_device_list(data: bytes) -> None:
    """Reads the devices of a list, line by line."""
    for line in data.splitlines(keepends=True):
        if is_device(line):
            parse_device(line)


def read_archive(data: bytes) -> None:
    """Opens an archive and reads everything that needs no key."""
    with _file(data) as path, Bundle(path) as bundle:
        list(bundle.embedded_grants())
        bundle.verify(UnsafeUnsigned()).check_digests()


def read_arriving(data: bytes) -> None:
    """Reads a bundle as a stream: it says the same as the reader of files."""
    with _file(data) as path:
        assert _arrives(data) == _checks(path)


def _arrives(data: bytes) -> bool:
    try:
        arrival = ArrivingBundle(io.BytesIO(data)).verify(UnsafeUnsigned())
        list(arrival.embedded_grants())
        arrival.check_digests()
        return True
    except KeepError:
        return False


def _checks(path: Path) -> bool:
    try:
        with Bundle(path) as bundle:
            verified = bundle.verify(UnsafeUnsigned())
            list(bundle.embedded_grants())
            verified.check_digests()
            return True
    except KeepError:
        return False


def read_installation(data: bytes) -> None:
    """Opens an installation as far as anybody can who did not make it."""
    with _file(data) as path, Installation(path) as installation:
        assert is_installation(path)
        InstallRecord.from_bytes(installation.read(names.INSTALL))
        with contextlib.suppress(RefusedError):
            installation.unlock(Identity(DEVICE), UnsafeUnsigned())
            raise AssertionError("an installation of another device opened")


def read_install_record(data: bytes) -> None:
    """Reads an install record and writes it back; extensions outside its header are not kept."""
    record = InstallRecord.from_bytes(data)
    written = record.to_bytes()
    assert written == data or b'"ext":{' in data
    assert InstallRecord.from_bytes(written) == record


def read_slots(data: bytes) -> None:
    """Reads what a folder of slots says of itself."""
    with TemporaryDirectory() as folder:
        Path(folder, "slots.json").write_bytes(data)
        SlotFolder.read(folder)


def read_device_state(data: bytes) -> None:
    """Reads a device's state that only this device can have written."""
    local = DEVICE.local_key()
    key = bytes(32)
    outer = {
        "body": base64.b64encode(data).decode(),
        "key": base64.b64encode(local.wrap(memoryview(key), STATE_CONTEXT)).decode(),
        "mac": hmac.digest(key, data, "sha256").hex(),
    }
    with _file(canonical.encode(outer)) as path:
        read_state(path, local)


def read_device_state_file(data: bytes) -> None:
    """Reads a device's state that somebody else wrote."""
    with _file(data) as path, contextlib.suppress(RefusedError):
        read_state(path, DEVICE.local_key())
        raise AssertionError("the state of another device was read")


def read_onnx_graph(data: bytes) -> None:
    """Reads contract and external files of an ONNX model."""
    onnx_graph.external_files(memoryview(data))
    onnx_graph.read_contract(memoryview(data))


def read_tflite(data: bytes) -> None:
    """Reads the contracts of a TFLite model."""
    tflite.read_contracts(memoryview(data))


def read_executorch(data: bytes) -> None:
    """Reads the methods of an ExecuTorch program."""
    executorch.read_methods(memoryview(data))


def read_ort(data: bytes) -> None:
    """Reads the contract of a model in ONNX Runtime's format."""
    ort.read_contract(memoryview(data))


def read_openvino(data: bytes) -> None:
    """Reads the contract of an OpenVINO IR."""
    openvino_ir.read_contract(memoryview(data))


def read_ncnn(data: bytes) -> None:
    """Reads the description of an ncnn model."""
    ncnn.read_contract(memoryview(data))


def read_gguf(data: bytes) -> None:
    """Reads the contract of a GGUF model."""
    gguf.read_contract(memoryview(data))


def read_safetensors_index(data: bytes) -> None:
    """Reads which files a spread model has."""
    shards.read_index(memoryview(data))


def recognise(data: bytes) -> None:
    """Asks every format whether it is its own; none of them may raise anything."""
    for each in every_format():
        each.recognises(memoryview(data))
    with contextlib.suppress(UsageError):  # a part of a model of several files
        find_entries({"model": memoryview(data)}, None, None)


def survive(reader: str, data: bytes) -> None:
    """Reads any bytes as what `reader` is for; lets nothing but KeepError happen."""
    with contextlib.suppress(KeepError):
        READERS[reader](data)


@contextlib.contextmanager
def _file(data: bytes) -> Iterator[Path]:
    descriptor = os.memfd_create("document")
    try:
        os.write(descriptor, data)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


READERS: Mapping[str, Callable[[bytes], None]] = {
    "manifest": read_manifest,
    "inner manifest": read_inner_manifest,
    "grant": read_grant,
    "grant glance": read_glance,
    "grant file": read_grant_file,
    "device list": read_device_list,
    "statement": read_statement,
    "timestamp": read_timestamp,
    "trust document": read_trust_document,
    "archive": read_archive,
    "arriving": read_arriving,
    "installation": read_installation,
    "install record": read_install_record,
    "slots": read_slots,
    "device state": read_device_state,
    "device state file": read_device_state_file,
    "onnx graph": read_onnx_graph,
    "tflite": read_tflite,
    "ort": read_ort,
    "executorch": read_executorch,
    "openvino": read_openvino,
    "gguf": read_gguf,
    "ncnn": read_ncnn,
    "safetensors index": read_safetensors_index,
    "any model": recognise,
    **guard_readers.READERS,
    **posture_readers.READERS,
    **update_readers.READERS,
    **repository_readers.READERS,
}
