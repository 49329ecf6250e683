"""How much memory an input takes at most, so that no more is received."""

from __future__ import annotations

from modelkeep.contract import TensorContract


def most_bytes(tensor: TensorContract) -> int:
    """Returns how many bytes an input has at most."""
    shape = tensor.shape
    if shape is None or None in shape:
        return tensor.maximum_bytes
    return min(tensor.maximum_bytes, tensor.smallest_bytes)
