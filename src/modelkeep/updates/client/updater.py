"""A device that follows a repository: what is its own is fetched, tried, and counts; or what counted goes on.

Two layers judge independently. The repository's keys say what is current and complete; the publisher's
signature and the device's trust file say who made it. Source: spec/update-v1.md, "Following a repository".
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from modelkeep.bundle.access import Access, IdentityLike, sidecar_path
from modelkeep.bundle.rollback import Remembered, remembering
from modelkeep.bundle.slot_folder import SLOTS
from modelkeep.channels.channel import Channel
from modelkeep.device.contents import Contents
from modelkeep.errors import ExpiredError, KeepError, RefusedError, RollbackError, UnavailableError, UsageError
from modelkeep.isolated_loading import Isolation
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.release_order import ReleaseOrder
from modelkeep.storage import folder_locked, make_folder, words_for
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.client.channel_source import ChannelSource
from modelkeep.updates.client.expect_listed import ExpectListed
from modelkeep.updates.client.listing import Following, Listing, Offered, look
from modelkeep.updates.client.notes import FollowingNotes, Outcome
from modelkeep.updates.client.requirements import check_requirements
from modelkeep.updates.client.selection import Selection, StaticPhase
from modelkeep.updates.installation import InstallReport, install
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial import TrialResult, try_out
from modelkeep.updates.trial_notes import TrialEnd


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What an update came to.

    Attributes:
        model: the model's id.
        outcome: in a word.
        reason: why, for people.
        release: the release that the repository offers this device, or None.
        installed: what was fetched, or None where nothing was.
        trial: the last try of it, or None.
        requests: how many times the repository was asked, but for the bundle itself.
        ends: when what the repository says ends, in seconds since 1970-01-01 UTC.
    """

    model: str
    outcome: Outcome
    reason: str
    release: ReleaseOrder | None
    installed: InstallReport | None
    trial: TrialResult | None
    requests: int
    ends: int

    def __str__(self) -> str:
        return f"{self.model}: {self.outcome.value}: {self.reason}"
