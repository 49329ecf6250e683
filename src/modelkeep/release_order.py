"""The order of a model's releases: by epoch, and within an epoch by the time of sealing."""

from __future__ import annotations

from typing import NamedTuple


class ReleaseOrder(NamedTuple):
    """A place in that order; compares as a tuple.

    Attributes:
        epoch: the release counter of the model.
        sealed_at: seconds since 1970-01-01 UTC.
    """

    epoch: int
    sealed_at: int
