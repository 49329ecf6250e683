"""Opening and running a model creates no file and leaves its weights nowhere on the disk."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from support.workshop import Workshop, scale_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches folders with inotify")

# Sixteen weights that occur nowhere else: 64 bytes as they lie in the file.
MARKER = np.frombuffer(bytes(range(0x41, 0x81)), np.float32)
IN_MODIFY, IN_CREATE, IN_MOVED_TO = 0x2, 0x100, 0x80


class Watch:
    """Notes every file that is created, changed or renamed within some folders."""

    def __init__(self, *folders: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for folder in folders:
            mask = IN_MODIFY | IN_CREATE | IN_MOVED_TO
            assert self._libc.inotify_add_watch(self._descriptor, bytes(folder), mask) >= 0

    def events(self) -> list[str]:
        """Returns the names of the files that were touched since the last call."""
        try:
            data = os.read(self._descriptor, 65_536)
        except BlockingIOError:
            return []
        names = []
        while data:
            length = struct.unpack_from("iIII", data)[3]
            names.append(data[16 : 16 + length].rstrip(b"\0").decode())
            data = data[16 + length :]
        return names

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watches the bundle's folder and all that a runtime could take for its temporary files."""
    folders = [tmp_path / name for name in ("temporary", "home", "working")]
    for folder in folders:
        folder.mkdir()
    for name in ("TMPDIR", "TMP", "TEMP"):
        monkeypatch.setenv(name, str(folders[0]))
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(folders[1]))
    # Otherwise ONNX Runtime keeps a database of usage events in the home folder.
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(folders[2])
    watch = Watch(tmp_path, *folders)
    yield watch
    watch.close()


def marked_model(folder: Path, *, external: bool) -> Path:
    """Writes a model whose weights are the marker; returns the file or folder to seal."""
    model = onnx.load_model_from_string(scale_model(1.0, MARKER.size))
    model.graph.initializer[0].raw_data = MARKER.tobytes()
    folder.mkdir()
    onnx.save_model(
        model, str(folder / "net.onnx"), save_as_external_data=external, location="weights", size_threshold=0
    )
    return folder if external else folder / "net.onnx"


def open_files() -> Iterator[bytes]:
    """Gives the content of every regular file that this process holds open, deleted ones included."""
    for path in Path("/proc/self/fd").iterdir():
        if path.exists() and stat.S_ISREG(path.stat().st_mode) and path.stat().st_size < 2**20:
            yield path.read_bytes()


@pytest.mark.parametrize("external", [False, True])
def test_nothing_is_written_while_a_model_is_opened_and_run(
    workshop: Workshop, watch: Watch, external: bool
) -> None:
    source = marked_model(workshop.folder / "model", external=external)
    bundle = workshop.seal(source)
    assert watch.events() != []
    inputs = {"x": np.ones((1, MARKER.size), np.float32)}
    with workshop.open(bundle) as session:
        assert np.array_equal(session.run(inputs)["y"][0], MARKER)
        assert not any(MARKER.tobytes() in content for content in open_files())
    assert watch.events() == []


@pytest.mark.parametrize("external", [False, True])
def test_sealing_writes_the_weights_encrypted_only(workshop: Workshop, watch: Watch, external: bool) -> None:
    source = marked_model(workshop.folder / "model", external=external)
    plain = {path for path in workshop.folder.rglob("*") if path.is_file()}
    watch.events()
    workshop.seal(source, name="sealed.keep")
    touched = set(watch.events())
    assert {name for name in touched if not name.endswith(".part")} <= {"sealed.keep"}
    written = [path for path in workshop.folder.rglob("*") if path.is_file() and path not in plain]
    assert [path.name for path in written] == ["sealed.keep"]
    assert not any(MARKER.tobytes() in path.read_bytes() for path in written)


def test_the_watch_sees_files_that_live_for_a_moment(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "temporary/short").touch()
    (tmp_path / "temporary/short").unlink()
    assert watch.events() == ["short"]
