"""What the recipients of a list are called: one key by one name, and once.

A key under two names looks like two devices, and whose name it is not gets nothing. One that stands there
twice is counted twice, and whoever was meant in its place gets nothing either.
"""

from __future__ import annotations

from collections import defaultdict

from modelkeep.errors import UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.recipient import Recipient
from modelkeep.grants.recipient_text import Named, short_name


class Namesakes:
    """The names of the keys that were seen so far."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}
        self._seen: dict[Constraints | None, set[bytes]] = defaultdict(set)

    def add(self, recipient: Recipient | Named, terms: Constraints | None = None) -> None:
        """Takes note of a recipient; one without a public key is nobody's namesake.

        Args:
            recipient: the next one of the list.
            terms: what its own line of the list demands; under other terms it may stand there again.

        Raises:
            UsageError: the key has another name already, or stands there under these terms.
        """
        public: bytes | None = getattr(recipient, "public", None)
        if public is None:
            return
        known = self._names.setdefault(public, recipient.device_id) if recipient.device_id else ""
        if known != recipient.device_id:
            raise UsageError(
                f"{known} and {recipient.device_id} have one key",
                hint="ask both devices for their public lines: modelkeep keys show",
            )
        if public in self._seen[terms]:
            raise UsageError(
                f"{short_name(recipient)} stands there twice", hint="name each once; an admin may open, too"
            )
        self._seen[terms].add(public)
