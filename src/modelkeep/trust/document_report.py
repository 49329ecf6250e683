"""What the documents that roots sign say, and who signed them: for people, and for who is to sign one.

Nothing here decides: devices read these documents through `Verifier`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import public_key
from modelkeep.errors import MalformedError, UsageError
from modelkeep.trust import trust_report
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.roots_document import RootsDocument
from modelkeep.trust.ticket import Act, Adopt, ForgetQuarantine, SetTime, Ticket, Void
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.trust_report import line, moment


@dataclass(frozen=True, slots=True)
class DocumentReport:
    """A document, held against roots where some are given.

    Attributes:
        document: the file.
        claimed: fingerprints of the keys that are said to have signed, each once.
        signed_by: names of the roots that did sign.
        roots: how many different roots were given.
        threshold: how many of them have to sign.
    """

    document: Envelope
    claimed: tuple[str, ...]
    signed_by: Mapping[str, str]
    roots: int
    threshold: int

    @staticmethod
    def of(
        envelope: Envelope, roots: Mapping[str, ec.EllipticCurvePublicKey], threshold: int = 1
    ) -> DocumentReport:
        """Returns the report on a file.

        Args:
            envelope: the file.
            roots: root keys by the name that people know them by; may be empty.
            threshold: how many different ones of them have to sign.
        """
        names = {public_key.fingerprint(key): name for name, key in roots.items()}
        keys = {public_key.fingerprint(key): key for key in roots.values()}
        signed = envelope.signed_by(keys)
        return DocumentReport(
            document=envelope,
            claimed=tuple(dict.fromkeys(name for name, _ in envelope.signatures)),
            signed_by={name: names[name] for name in sorted(signed)},
            roots=len(keys),
            threshold=threshold,
        )

    def lines(self, now: int) -> list[str]:
        """Returns the report in words, one fact a line.

        Raises:
            MalformedError: it is not what it says it is.
        """
        return [*statements(self.document, now), *map(self._signature, self.claimed), *self._count()]

    def facts(self, now: int) -> dict[str, object]:
        """Returns the report as JSON; raises what `lines` does."""
        return {
            **_facts(self.document, now),
            "signatures": [{"key": key, "root": self.signed_by.get(key)} for key in self.claimed],
            "roots": {"given": self.roots, "signed": len(self.signed_by), "threshold": self.threshold},
        }

    def _signature(self, key: str) -> str:
        if not self.roots:
            return line("signature", f"sha256:{key}, not checked")
        if key in self.signed_by:
            return line("signature", f"sha256:{key}, root {self.signed_by[key]}")
        return line("signature", f"sha256:{key}, counts nothing: of none of these roots, or broken")

    def _count(self) -> list[str]:
        if not self.roots:
            return [] if self.claimed else [line("signed by", "nobody yet")]
        return [
            line("signed by", f"{len(self.signed_by)} of {self.roots} roots; {self.threshold} are needed")
        ]


def statements(envelope: Envelope, now: int) -> list[str]:
    """Returns what a document says, one statement a line.

    Raises:
        MalformedError: it is not what it says it is.
    """
    match envelope.kind:
        case Kind.TRUST:
            return trust_report.statements(TrustFile.unverified(envelope), now)
        case Kind.ROOTS:
            return _roots(RootsDocument.from_bytes(envelope.payload))
        case Kind.TICKET:
            return _ticket(Ticket.from_bytes(envelope.payload))
        case _:
            raise _not_of_roots(envelope)


def changes(old: Envelope, new: Envelope, now: int) -> list[str]:
    """Returns what `new` says otherwise than `old`: lines with ``-`` are gone, those with ``+`` are new.

    Raises:
        UsageError: they are of different kinds.
        MalformedError: one is not what it says it is.
    """
    if old.kind is not new.kind:
        raise UsageError(f"a {new.kind.words} does not follow a {old.kind.words}")
    if new.kind is Kind.TRUST:
        return trust_report.changes(TrustFile.unverified(old), TrustFile.unverified(new), now)
    before, after = statements(old, now), statements(new, now)
    gone = [f"- {each}" for each in before if each not in after]
    return gone + [f"+ {each}" for each in after if each not in before]


def _facts(envelope: Envelope, now: int) -> dict[str, object]:
    match envelope.kind:
        case Kind.TRUST:
            return trust_report.facts(TrustFile.unverified(envelope), now)
        case Kind.ROOTS:
            document = RootsDocument.from_bytes(envelope.payload)
            return {
                "number": document.number,
                "set": (document.set or document.digest).hex(),
                "keys": sorted(document.keys),
                "threshold": document.threshold,
                "removed": sorted(name.hex() for name in document.removed),
            }
        case Kind.TICKET:
            return Ticket.from_bytes(envelope.payload).to_json()
        case _:
            raise _not_of_roots(envelope)


def _not_of_roots(envelope: Envelope) -> MalformedError:
    return MalformedError(f"a {envelope.kind.words} is nothing that roots sign")


def _roots(document: RootsDocument) -> list[str]:
    chain = document.set or document.digest
    return [
        line("roots", f"document {document.number} of chain sha256:{chain.hex()}"),
        line("threshold", f"{document.threshold} of {len(document.keys)}"),
        *(line("root", f"sha256:{name}") for name in sorted(document.keys)),
        *(line("removed", f"sha256:{name.hex()}") for name in sorted(document.removed)),
    ]


def _ticket(ticket: Ticket) -> list[str]:
    return [
        line("device", f"sha256:{ticket.device.hex()}"),
        line("generation", ticket.generation.hex()),
        *(each for act in ticket.acts for each in _act(act)),
    ]


def _act(act: Act) -> list[str]:
    match act:
        case Void(bundle):
            return [line("void bundle", bundle.hex())]
        case SetTime(time):
            return [line("set the time", moment(time))]
        case ForgetQuarantine():
            return [line("forget", "what failed its trial")]
        case Adopt(counter, marks):
            first = line("adopt", f"the state at hand, as number {counter} of the counter")
            brought_back = [
                line("  brings back", f"{model}  epoch {order.epoch}, sealed {moment(order.sealed_at)}")
                for model, order in marks
            ]
            return [first, *brought_back]
