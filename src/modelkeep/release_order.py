"""The order of a model's releases: by epoch, and within an epoch by the time of sealing."""

from __future__ import annotations

import datetime
from typing import NamedTuple


class ReleaseOrder(NamedTuple):
    """A place in that order; compares as a tuple.

    Attributes:
        epoch: the release counter of the model.
        sealed_at: seconds since 1970-01-01 UTC.
    """

    epoch: int
    sealed_at: int

    def __str__(self) -> str:
        return f"{self.epoch} of {_calendar(self.sealed_at)}"


def _calendar(moment: int) -> str:
    try:
        return f"{datetime.datetime.fromtimestamp(moment, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"second {moment}"
