"""The signed end of a journal: whoever keeps one finds out when lines before it are changed or missing.

Source: spec/granter-v1.md, "Head".
"""

from __future__ import annotations

from dataclasses import dataclass

from modelkeep import canonical
from modelkeep.clock import LATEST_TIME
from modelkeep.dsse import EcdsaSigner
from modelkeep.granter.journal import Place
from modelkeep.granter.journal_entry import DIGEST_BYTES
from modelkeep.record import Record
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.roots_document import Keys

FORMAT, VERSION = "modelkeep/journal-head", 1


@dataclass(frozen=True, slots=True)
class JournalHead:
    """What a granter signs of its journal.

    Attributes:
        number: how many lines it had.
        digest: SHA-256 of the last one, 32 bytes.
        at: when, in seconds since 1970-01-01 UTC.
    """

    number: int
    digest: bytes
    at: int

    @staticmethod
    def of(place: Place, at: int) -> JournalHead:
        """Returns the head of a journal that ends at `place`."""
        return JournalHead(place.number, place.digest, at)

    def signed(self, signer: EcdsaSigner) -> bytes:
        """Returns the file.

        Raises:
            SignatureError, KeyStoreError: the signer cannot sign.
        """
        payload = {
            "format": FORMAT,
            "version": VERSION,
            "number": self.number,
            "digest": self.digest.hex(),
            "at": self.at,
        }
        return Envelope(Kind.JOURNAL, canonical.encode(payload)).signed(signer).to_bytes()

    @staticmethod
    def from_bytes(data: bytes, signers: Keys) -> JournalHead:
        """Reads a head that one of `signers` (by fingerprint) has signed.

        Raises:
            SignatureError: none of them has.
            MalformedError: not a head.
        """
        envelope = Envelope.from_bytes(data, Kind.JOURNAL)
        envelope.check_signed(signers, 1)
        with Record(canonical.decode(envelope.payload, "journal's head"), "journal's head") as record:
            record.check_format(FORMAT, VERSION)
            return JournalHead(
                record.integer("number"),
                record.hexadecimal("digest", DIGEST_BYTES),
                record.integer("at", highest=LATEST_TIME),
            )
