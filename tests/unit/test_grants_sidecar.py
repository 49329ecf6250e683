import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelkeep.errors import KeepError, MalformedError, StorageError, UnsupportedVersionError
from modelkeep.grants import sidecar
from modelkeep.grants.grant import LARGEST_GRANT, Grant
from modelkeep.grants.header import GrantHeader

BUNDLE = bytes(16)


def grant_of(number: int) -> Grant:
    header = GrantHeader(BUNDLE, "hpke-p256", number.to_bytes(16, "big"))
    return Grant(header, header.to_bytes(), os.urandom(185))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.keep.grants"


def test_appended_grants_are_read_in_order(path: Path) -> None:
    grants = [grant_of(number) for number in range(5)]
    sidecar.append(path, grants[:2])
    sidecar.append(path, iter(grants[2:]))
    assert list(sidecar.read(path)) == grants
    assert path.read_bytes() == b"".join(grant.to_bytes() + b"\n" for grant in grants)


def test_missing_file_has_no_grants_unless_required(path: Path) -> None:
    assert list(sidecar.read(path)) == []
    with pytest.raises(StorageError, match="no such file"):
        list(sidecar.read(path, required=True))


def test_appending_nothing_changes_nothing(path: Path) -> None:
    sidecar.append(path, [grant_of(1)])
    before = path.read_bytes()
    sidecar.append(path, [])
    assert path.read_bytes() == before


def test_torn_last_line_is_ignored_and_cut_off_by_the_next_append(path: Path) -> None:
    first, second, third = (grant_of(number) for number in range(3))
    sidecar.append(path, [first])
    whole = path.read_bytes()
    for length in (1, len(second.to_bytes()) // 2, len(second.to_bytes())):
        path.write_bytes(whole + second.to_bytes()[:length])
        assert list(sidecar.read(path)) == [first]
        sidecar.append(path, [third])
        assert list(sidecar.read(path)) == [first, third]


def test_file_that_is_one_torn_line_starts_over(path: Path) -> None:
    path.write_bytes(grant_of(1).to_bytes()[:-1])
    assert list(sidecar.read(path)) == []
    sidecar.append(path, [grant_of(2)])
    assert [grant.header.key_id[-1] for grant in sidecar.read(path)] == [2]


@pytest.mark.parametrize("line", [b"", b"{}", b"junk", b"\x00" * 100, b"x" * LARGEST_GRANT])
def test_any_other_bad_line_is_numbered(path: Path, line: bytes) -> None:
    data = grant_of(1).to_bytes() + b"\n"
    path.write_bytes(data + line + b"\n" + data)
    grants = sidecar.read(path)
    next(grants)
    with pytest.raises(MalformedError, match=r"model\.keep\.grants: grant 2"):
        next(grants)


def test_line_of_a_newer_version_keeps_its_kind_of_error(path: Path) -> None:
    newer = grant_of(1)
    header = newer.header_bytes.replace(b'"version":1', b'"version":2')
    path.write_bytes(Grant(newer.header, header, newer.wrapped).to_bytes() + b"\n")
    with pytest.raises(UnsupportedVersionError, match="grant 1") as caught:
        list(sidecar.read(path))
    assert caught.value.hint == "update modelkeep"


def test_line_of_a_newer_version_does_not_hide_the_others(path: Path) -> None:
    newer = grant_of(1)
    header = newer.header_bytes.replace(b'"version":1', b'"version":2')
    lines = [Grant(newer.header, header, newer.wrapped), grant_of(2), grant_of(3)]
    path.write_bytes(b"".join(grant.to_bytes() + b"\n" for grant in lines))
    grants = sidecar.read(path)
    assert [next(grants).header.key_id[-1] for _ in range(2)] == [2, 3]
    with pytest.raises(UnsupportedVersionError):
        next(grants)


@pytest.mark.parametrize("content", [b"notes", b"{}\n", b"PK\x03\x04" * 5000, b'{"head', b"\n\n"])
def test_only_files_of_grants_are_appended_to(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    if content == b'{"head':  # what a crash leaves of the first grant
        sidecar.append(path, [grant_of(1)])
        return
    with pytest.raises(MalformedError, match="not a file of grants"):
        sidecar.append(path, [grant_of(1)])
    assert path.read_bytes() == content


def test_endless_line_is_not_read_to_its_end(path: Path) -> None:
    path.write_bytes(grant_of(1).to_bytes() + b"\n" + b"x" * (LARGEST_GRANT + 1))
    with pytest.raises(MalformedError, match="line 2: too long"):
        list(sidecar.read(path))
    before = path.read_bytes()
    with pytest.raises(MalformedError, match="last line is too long"):
        sidecar.append(path, [grant_of(2)])
    assert path.read_bytes() == before


def test_longest_grant_fits(path: Path) -> None:
    room = LARGEST_GRANT - len(Grant(grant_of(1).header, grant_of(1).header_bytes, b"").to_bytes())
    large = Grant(grant_of(1).header, grant_of(1).header_bytes, bytes(room // 4 * 3))
    path.write_bytes(large.to_bytes())
    sidecar.append(path, [large, large])
    assert list(sidecar.read(path)) == [large, large]


def test_reading_holds_one_line_at_a_time(path: Path) -> None:
    path.write_bytes(grant_of(1).to_bytes() + b"\n" + b"junk\n" * 3)
    assert next(sidecar.read(path)).header.key_id[-1] == 1


def test_append_is_all_or_nothing(path: Path) -> None:
    def failing() -> Iterator[Grant]:
        for number in range(5000):
            yield grant_of(number)
        raise RuntimeError

    sidecar.append(path, [grant_of(1)])
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        sidecar.append(path, failing())
    assert path.read_bytes() == before


def test_full_disk_leaves_the_file_as_it_was(path: Path) -> None:
    script = (
        "import resource, signal, sys\n"
        "from modelkeep.grants import sidecar\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "sidecar.append(sys.argv[1], list(sidecar.read(sys.argv[1])) * 5)\n"
    )
    sidecar.append(path, [grant_of(1)])
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=False)
    assert b"StorageError" in done.stderr
    assert path.read_bytes() == before


def test_folder_in_its_place_gives_words(tmp_path: Path) -> None:
    for attempt in (lambda: list(sidecar.read(tmp_path)), lambda: sidecar.append(tmp_path, [])):
        with pytest.raises(KeepError, match="is a directory|not a regular file"):
            attempt()


def test_two_processes_append_at_once(path: Path) -> None:
    script = (
        "import sys\n"
        "from modelkeep.grants import sidecar\n"
        "from modelkeep.grants.grant import Grant\n"
        "from modelkeep.grants.header import GrantHeader\n"
        "sys.stdin.read(1)\n"
        "for number in range(40):\n"
        "    header = GrantHeader(bytes(16), 'fleet', bytes([int(sys.argv[2])]) * 15 + bytes([number]))\n"
        "    sidecar.append(sys.argv[1], [Grant(header, header.to_bytes(), bytes(112))] * 3)\n"
    )
    path.write_bytes(grant_of(0).to_bytes()[:9])
    processes = [
        subprocess.Popen([sys.executable, "-c", script, path, str(who)], stdin=subprocess.PIPE)
        for who in (1, 2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go")
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0, 0]
    seen = [grant.header.key_id for grant in sidecar.read(path)]
    for who in (1, 2):
        own = [key_id[-1] for key_id in seen if key_id[0] == who]
        assert own == [number for number in range(40) for _ in range(3)]
    assert all(seen[position] == seen[position + 2] for position in range(0, len(seen), 3))


def test_a_file_of_one_endless_line_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "x.grants"
    for size in (sidecar.LONGEST_LINE + 1, sidecar.LONGEST_LINE + 2):
        path.write_bytes(b"x" * size)
        with pytest.raises(MalformedError):
            sidecar.append(path, [grant_of(1)])
        assert path.stat().st_size == size
