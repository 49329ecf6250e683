"""A device that may open the model holds its data key, and so could make any tag it likes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelkeep.errors import TamperedError
from support.attacker import STREAM_HEADER, Forgery, StreamKey, stolen_data_key
from support.ghash import BLOCK, bend_to_tag, to_blocks, to_bytes
from support.workshop import Workshop

WEIGHTS = np.arange(64, dtype=np.float32)
CHANGED = WEIGHTS.copy()
CHANGED[3] = 666.0


@pytest.fixture
def loot(workshop: Workshop) -> tuple[Forgery, StreamKey]:
    """A bundle for many devices, and the stream key that each of them can derive."""
    source = workshop.folder / "weights.bin"
    source.write_bytes(WEIGHTS.tobytes())
    sibling = workshop.new_device("sibling")
    bundle = workshop.seal(source, to=[workshop.device.with_suffix(".pub"), sibling.with_suffix(".pub")])
    data_key = stolen_data_key(bundle, workshop.identity(sibling), workshop.verifier())
    forgery = Forgery(bundle)
    return forgery, StreamKey.derive(data_key, forgery, 1)


def _plant(forgery: Forgery, segment: bytes, path: Path) -> Path:
    forgery.files["payload/1"][STREAM_HEADER:] = segment
    return forgery.write(path)


def test_a_weight_reencrypted_with_a_genuine_tag_is_refused(
    workshop: Workshop, loot: tuple[Forgery, StreamKey]
) -> None:
    forgery, key = loot
    segment = key.encrypt(0, CHANGED.tobytes(), last=True)
    assert key.decrypt(0, segment, last=True) == CHANGED.tobytes()
    bundle = _plant(forgery, segment, workshop.folder / "forged.keep")
    with pytest.raises(TamperedError, match="segment 0 is not the one that was signed"):
        workshop.read(bundle)


def test_a_weight_changed_under_an_unchanged_tag_is_refused(
    workshop: Workshop, loot: tuple[Forgery, StreamKey]
) -> None:
    forgery, key = loot
    gcm = key.gcm(0, last=True)
    tag = bytes(forgery.files["payload/1"][-BLOCK:])
    # The last block takes up the difference: a signature over tags would still verify.
    changed = to_blocks(gcm.crypt(CHANGED.tobytes()))
    blocks = bend_to_tag(gcm, changed, len(changed) - 1, int.from_bytes(tag, "big"))
    opened = np.frombuffer(key.decrypt(0, to_bytes(blocks) + tag, last=True), np.float32)
    assert opened[:60].tolist() == CHANGED[:60].tolist()
    bundle = _plant(forgery, to_bytes(blocks) + tag, workshop.folder / "forged.keep")
    with pytest.raises(TamperedError, match="segment 0 is not the one that was signed"):
        workshop.read(bundle)


def test_recomputed_leaves_do_not_help(workshop: Workshop, loot: tuple[Forgery, StreamKey]) -> None:
    forgery, key = loot
    manifest = bytes(forgery.files["manifest.json"])
    forgery.files["payload/1"][STREAM_HEADER:] = key.encrypt(0, CHANGED.tobytes(), last=True)
    forgery.recompute_leaves(1)
    forgery.files["manifest.json"][:] = manifest
    with pytest.raises(TamperedError, match="leaves/1 is not the one that was signed"):
        workshop.read(forgery.write(workshop.folder / "forged.keep"))


def test_a_recomputed_manifest_does_not_help(workshop: Workshop, loot: tuple[Forgery, StreamKey]) -> None:
    forgery, key = loot
    forgery.files["payload/1"][STREAM_HEADER:] = key.encrypt(0, CHANGED.tobytes(), last=True)
    forgery.recompute_leaves(1)
    with pytest.raises(TamperedError, match=r"manifest\.json is not the one that was signed"):
        workshop.read(forgery.write(workshop.folder / "forged.keep"))


def test_a_changed_inner_manifest_is_refused(workshop: Workshop) -> None:
    bundle = workshop.seal(contract={"x": {"maximum": 1.0}})
    data_key = stolen_data_key(bundle, workshop.identity(), workshop.verifier())
    forgery = Forgery(bundle)
    key = StreamKey.derive(data_key, forgery, 0)
    inner = key.decrypt(0, bytes(forgery.files["payload/0"][STREAM_HEADER:]), last=True)
    loosened = inner.replace(b'"0x1.0000000000000p+0"', b'"0x1.0000000000000p+9"')
    assert loosened != inner
    forgery.files["payload/0"][STREAM_HEADER:] = key.encrypt(0, loosened, last=True)
    with pytest.raises(TamperedError, match="segment 0 is not the one that was signed"):
        workshop.open(forgery.write(workshop.folder / "forged.keep"))
