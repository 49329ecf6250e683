"""Files that decide about keys, changed at random: read as they were, or refused in words."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelkeep.clock import LATEST_TIME
from modelkeep.errors import KeepError
from modelkeep.keys.tpm2.key_file import OPEN, Creation, KeyFile
from modelkeep.keys.tpm2.policy import Policy, approve
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import Signer
from modelkeep.trust.trust_file import TrustFile

AUTHORITY = Signer(ec.generate_private_key(ec.SECP256R1()))
APPROVAL = approve((7, 11), {7: bytes(32), 11: bytes(32)}, AUTHORITY)
CREATION = Creation(b"data", b"ticket")
POLICY = Policy((7, 11), AUTHORITY.public_key, auth=True)
KEY_FILE = KeyFile(OPEN, b"public", b"private", CREATION, 0x81010017, 0, bytes(34), POLICY, (APPROVAL,))
PUBLISHER = ec.generate_private_key(ec.SECP256R1()).public_key()
TRUST = TrustFile(1, LATEST_TIME, (Publisher(PUBLISHER, ("vision",)),), frozenset({"ab" * 32}))
SIGNED = TRUST.to_bytes(AUTHORITY)


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """Returns `data` with a piece cut out, replaced or doubled."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 40)))
    middle = draw(st.binary(max_size=8) | st.just(data[start:end] * 2))
    return data[:start] + middle + data[end:]


@given(mutations(SIGNED))
def test_changed_trust_file_says_the_same_or_is_refused(data: bytes) -> None:
    with contextlib.suppress(KeepError):
        assert TrustFile.from_bytes(data, [AUTHORITY.public_key]) == TRUST


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.tpm"
    KEY_FILE.write(path)
    return path


def test_key_file_reads_back_as_it_was_written(written: Path) -> None:
    assert KeyFile.read(written) == KEY_FILE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_key_file_is_read_or_refused_in_words(written: Path, data: st.DataObject) -> None:
    changed = written.with_name("changed.tpm")
    changed.write_bytes(data.draw(mutations(written.read_bytes())))
    with contextlib.suppress(KeepError):
        assert KeyFile.read(changed).use == OPEN
