"""The rule that holds a bundle against what the repository lists: both say the same, or it is refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from modelkeep.errors import TamperedError
from modelkeep.trust.release import Release
from modelkeep.updates.release_document import ReleaseDocument


@dataclass(frozen=True, slots=True)
class ExpectListed:
    """Accepts the one release that a document describes.

    Attributes:
        document: what the repository says.
    """

    document: ReleaseDocument

    def __call__(self, release: Release, /) -> None:
        """Raises TamperedError for every other release."""
        digest = hashlib.sha256(release.manifest.to_bytes()).digest()
        if not self.document.describes(release.manifest, digest):
            raise TamperedError(
                f"release {release.order} is another one than the repository lists",
                hint="the bundle was exchanged there: tell its publisher",
            )
