"""A look at a grant's bytes that tells whether it can be for a certain key, without parsing it.

A file of a million grants holds one for this device. Parsing all of them takes a minute; this
takes seconds. What it passes over is never used, so what it does not check does not matter.
"""

from __future__ import annotations

import binascii
import re
from collections import Counter

from modelkeep.grants.header import PASSPHRASE
from modelkeep.grants.kinds import count_kind

_GRANT = re.compile(rb'\{"header":"([A-Za-z0-9+/=]+)",')
# The end of a header in canonical form: anchored there, no `ext` in front can look like it.
_HEADER = re.compile(
    rb'"key_id":"([0-9a-f]{32})",(?:"scrypt":\{[^{}]*\},)?"type":"([a-z0-9-]{1,64})","version":1\}\Z'
)


class Glance:
    """Passes over grants for other keys and counts their kinds.

    Attributes:
        kinds: recipient types that were passed over, and how many of each.
    """

    def __init__(self, kind: str, key_id: bytes) -> None:
        """Takes the recipient type and the key id (16 bytes) that the key has in this bundle."""
        self.kinds: Counter[str] = Counter()
        self._wanted = (key_id.hex().encode(), kind.encode())

    def may_fit(self, encoded: bytes) -> bool:
        """Returns False for a grant that is certainly for another key; odd ones are left to the parser."""
        header = self._header(encoded)
        if header is None or header.groups() == self._wanted:
            return True
        kind = header[2].decode()
        if kind == PASSPHRASE:
            return True  # beside other grants, it makes the whole set one that no reader accepts
        count_kind(self.kinds, kind)
        return False

    def _header(self, encoded: bytes) -> re.Match[bytes] | None:
        grant = _GRANT.match(encoded)
        if grant is None:
            return None
        try:
            return _HEADER.search(binascii.a2b_base64(grant[1]))
        except binascii.Error:
            return None
