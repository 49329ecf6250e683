"""What the recipients of a list are called: one key by one name.

A key under two names looks like two devices, and whose name it is not gets nothing.
"""

from __future__ import annotations

from modelkeep.errors import UsageError
from modelkeep.grants.recipient import Recipient


class Namesakes:
    """The names of the keys that were seen so far."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def add(self, recipient: Recipient) -> None:
        """Takes note of a recipient; one without a public key or a name is nobody's namesake.

        Raises:
            UsageError: the key has another name already.
        """
        public: bytes | None = getattr(recipient, "public", None)
        if public is None or not recipient.device_id:
            return
        known = self._names.setdefault(public, recipient.device_id)
        if known != recipient.device_id:
            raise UsageError(
                f"{known} and {recipient.device_id} have one key",
                hint="ask both devices for their public lines: modelkeep keys show",
            )
