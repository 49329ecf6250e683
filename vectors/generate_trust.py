"""Writes the vectors of trust files, roots, tickets, timestamps and times into vectors/v1/trust.

Needs openssl, which plays the authority of time: `PYTHONPATH=tests python vectors/generate_trust.py`.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from modelkeep import canonical, public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId
from modelkeep.trust import timestamps
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.roots_document import RootsDocument, RootsName
from modelkeep.trust.signer import Signer
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.ticket import Adopt, ForgetQuarantine, SetTime, Ticket, Void
from modelkeep.trust.trust_file import TrustFile
from support.time_authority import TimeAuthority

TARGET = Path(__file__).parent / "v1" / "trust"
MODEL, BUNDLE, VOID = "acme/detector", "0a" * 16, "0b" * 16
NOW = 1_800_000_000
SIGNATURE = b"a signature"
WORKFLOW = SigstoreSigner(
    "https://github.com/acme/voice/.github/workflows/release.yml@refs/heads/main",
    "https://token.actions.githubusercontent.com",
)

Vector = dict[str, Any]


def new_signer(curve: ec.EllipticCurve | None = None) -> Signer:
    """Returns a new key."""
    return Signer(ec.generate_private_key(curve or ec.SECP256R1()))


def fingerprint(signer: Signer) -> str:
    """Returns the fingerprint of a key."""
    return public_key.fingerprint(signer.public_key)


def pem(signer: Signer) -> str:
    """Returns the public key as text."""
    return public_key.to_pem(signer.public_key).decode()


class TrustVectors:
    """Makes keys and documents, and notes what a reader must make of them."""

    def __init__(self) -> None:
        self.roots = [new_signer(), new_signer(ec.SECP384R1()), new_signer(ec.SECP521R1()), new_signer()]
        self.acme, self.audio, self.gone = (new_signer() for _ in range(3))
        self.trust = TrustFile(
            7,
            NOW + 1000,
            (
                Publisher(self.acme.public_key, ("acme/*",)),
                Publisher(self.audio.public_key, ("audio/steps",), ("audio", ""), NOW - 1000, NOW - 10),
                Publisher(self.gone.public_key, ("*",)),
                Publisher(WORKFLOW, ("voice/*",)),
            ),
            frozenset({fingerprint(self.gone)}),
            frozenset({bytes.fromhex(BUNDLE)}),
            void=frozenset({bytes.fromhex(VOID)}),
            floors={MODEL: ReleaseOrder(3, NOW - 500)},
            # Looked at when an identity's signature is, which no vector has.
            sigstore_root="{}",
        )
        self.files: list[Vector] = []

    def all(self) -> dict[str, Any]:
        """Returns the index."""
        self._loose()
        self._chain()
        self._nonsense()
        return {
            "format": "modelkeep/trust-vectors",
            "version": 1,
            "trust_files": self.files,
            "releases": self._releases(),
            "signers": self._vouching(),
            "tickets": self._tickets(),
            "timestamps": self._timestamps(),
            "clocks": _clocks(),
        }

    def _add(
        self,
        name: str,
        about: str,
        data: bytes,
        error: str | None = None,
        *,
        roots: Sequence[Signer] | None = None,
        threshold: int = 2,
        document: Envelope | None = None,
        minimum: int = 0,
        followed: int | None = None,
    ) -> None:
        vector: Vector = {"name": name, "about": about, "file": data.decode(), "error": error}
        if document is None:
            keys = self.roots[:3] if roots is None else roots
            vector |= {"roots": [pem(each) for each in keys], "threshold": threshold}
        else:
            vector["document"] = document.to_bytes().decode()
        if followed is not None:
            vector["document_number"] = followed
        self.files.append(vector | {"minimum": minimum})

    def _loose(self) -> None:
        first, second, third, stranger = self.roots
        signed = self.trust.to_bytes(first, third)
        self._add("two-of-three", "signed by enough roots", signed)
        self._add("minimum", "as new as demanded", signed, minimum=7)
        self._add("too-old", "older than demanded", signed, "RollbackError", minimum=8)
        self._add("one-of-three", "signed by one root", self.trust.to_bytes(second), "SignatureError")
        twice = Envelope.from_bytes(self.trust.to_bytes(first))
        twice = replace(twice, signatures=twice.signatures * 2)
        self._add("same-root-twice", "one root counts once", twice.to_bytes(), "SignatureError")
        foreign = self.trust.to_bytes(first, stranger)
        self._add("stranger", "signatures of others count nothing", foreign, "SignatureError")
        other = Envelope(Kind.TICKET, Envelope.from_bytes(signed).payload).signed(first).signed(third)
        self._add("another-kind", "signed as another kind of document", other.to_bytes(), "SignatureError")
        relabelled = replace(other, kind=Kind.TRUST)
        self._add("relabelled", "a signature for another kind", relabelled.to_bytes(), "SignatureError")
        changed = replace(
            Envelope.from_bytes(signed), payload=canonical.encode({"format": "modelkeep/trust"})
        )
        self._add("changed", "another payload under the signatures", changed.to_bytes(), "SignatureError")

    def _chain(self) -> None:
        first, second, third, fourth = self.roots
        keys = [each.public_key for each in (first, second, third)]
        one = RootsDocument.first(keys, 2)
        two = one.following([fourth.public_key], [fingerprint(first)])
        three = two.following(remove=[fingerprint(second)], threshold=1)
        documents = [
            _signed(one, first, second),
            _signed(two, first, second, fourth),
            _signed(three, second, third),
        ]
        beginning, *brought = documents
        file = replace(self.trust, named_roots=RootsName.of(three)).to_bytes(fourth, documents=documents)
        for number, document in enumerate(documents, start=1):
            about = f"followed from document {number} to document 3"
            self._add(f"chain-from-{number}", about, file, document=document, followed=3)
        for_first = replace(self.trust, named_roots=RootsName.of(one))
        self._add(
            "chain-1", "nothing to follow", for_first.to_bytes(first, third), document=beginning, followed=1
        )
        old = for_first.to_bytes(second, third)
        self._add(
            "chain-replaced", "of roots that were replaced", old, "RollbackError", document=documents[1]
        )
        gap = replace(self.trust, named_roots=RootsName.of(three)).to_bytes(
            fourth, documents=[beginning, *brought[1:]]
        )
        self._add("chain-gap", "a document is missing", gap, "SignatureError", document=beginning)
        unnamed = self.trust.to_bytes(first, second)
        self._add("chain-unnamed", "names no chain", unnamed, "SignatureError", document=beginning)
        elsewhere = RootsDocument.first(keys[:2], 2)
        foreign = replace(self.trust, named_roots=RootsName.of(elsewhere)).to_bytes(first, second)
        self._add("chain-other", "names another chain", foreign, "SignatureError", document=beginning)
        forgetting = replace(two, removed=frozenset())
        for name, about, document in (
            ("half-old", "the roots before sign too little", _signed(two, first, fourth)),
            ("half-new", "its own roots sign too little", _signed(two, first, second)),
            (
                "forgets",
                "does not list a root that went",
                _signed(forgetting, *self.roots),
            ),
            ("skips", "skips a number", _signed(replace(two, number=3), *self.roots)),
            ("twin", "another document 1", _signed(elsewhere, first, second)),
        ):
            data = replace(self.trust, named_roots=RootsName.of(two)).to_bytes(
                *self.roots, documents=[beginning, document]
            )
            self._add(f"chain-{name}", about, data, "SignatureError", document=beginning)
        returned = json.loads(three.to_bytes())
        returned["keys"] = [pem(each) for each in sorted((first, third, fourth), key=fingerprint)]
        again = Envelope(Kind.ROOTS, canonical.encode(returned))
        for signer in self.roots:
            again = again.signed(signer)
        data = replace(self.trust, named_roots=RootsName(one.digest, 3)).to_bytes(
            *self.roots, documents=[beginning, brought[0], again]
        )
        self._add("chain-returns", "a removed root returns", data, "MalformedError", document=beginning)
        unsigned = _signed(one, first)
        self._add("chain-unsigned", "its own roots did not sign", file, "SignatureError", document=unsigned)

    def _nonsense(self) -> None:
        payload = canonical.decode(Envelope.from_bytes(self.trust.to_bytes()).payload, "payload")
        publisher = payload["publishers"][0]
        named = payload["publishers"][3]
        identity, nobody = {"sigstore": named["sigstore"]}, named["sigstore"] | {"issuer": ""}
        unfit = [publisher | {"models": ["acme*"]}]
        for name, about, changes in (
            ("no-models", "a publisher without models", {"publishers": [publisher | {"models": []}]}),
            (
                "bad-pattern",
                "neither an id nor a pattern",
                {"publishers": unfit},
            ),
            ("without-models", "the member is missing", {"publishers": [_without(publisher, "models")]}),
            ("void-twice", "a bundle is listed twice", {"void": [VOID, VOID]}),
            ("floors-order", "floors out of order", {"floors": [_floor("b"), _floor("a")]}),
            ("floors-twice", "two floors of a model", {"floors": [_floor("a"), _floor("a")]}),
            ("unknown-member", "a member of a later version", {"colour": "red"}),
            ("bad-authority", "not a certificate", {"authorities": ["nothing"]}),
            ("two-in-one", "key and identity", {"publishers": [publisher | identity]}),
            ("neither", "neither key nor identity", {"publishers": [_without(publisher, "key")]}),
            (
                "no-issuer",
                "an identity of nobody's",
                {"publishers": [named | {"sigstore": {"identity": "a"}}]},
            ),
            ("empty-issuer", "an empty issuer", {"publishers": [named | {"sigstore": nobody}]}),
            ("empty-root", "an identity and no trusted root", {"sigstore_root": ""}),
        ):
            envelope = Envelope(Kind.TRUST, canonical.encode(payload | changes))
            for root in self.roots[:2]:
                envelope = envelope.signed(root)
            self._add(name, about, envelope.to_bytes(), "MalformedError")
        newer = Envelope(Kind.TRUST, canonical.encode(payload | {"version": 2}))
        data = newer.signed(self.roots[0]).signed(self.roots[1]).to_bytes()
        self._add("newer", "made by a newer version", data, "UnsupportedVersionError")

    def _releases(self) -> list[Vector]:
        """What the first trust file says of releases."""
        acme, audio = fingerprint(self.acme), fingerprint(self.audio)
        audible = {"model": "audio/steps", "family": "audio"}
        return [
            _release("model-of-a-prefix", acme),
            _release("model-below-a-prefix", acme, model="acme/audio/steps", family="audio"),
            _release("prefix-alone", acme, "UntrustedSignerError", model="acme"),
            _release("prefix-of-a-word", acme, "UntrustedSignerError", model="acmes/detector"),
            _release("model-of-another", audio, "UntrustedSignerError", family="audio", sealed_at=NOW - 100),
            _release("exact-model", audio, **audible, sealed_at=NOW - 1000),
            _release("family-without-name", audio, model="audio/steps", sealed_at=NOW - 10),
            _release(
                "family", audio, "UntrustedSignerError", model="audio/steps", family="v", sealed_at=NOW - 99
            ),
            _release("too-early", audio, "UntrustedSignerError", **audible, sealed_at=NOW - 1001),
            _release("too-late", audio, "UntrustedSignerError", **audible, sealed_at=NOW - 9),
            _release("revoked-key", fingerprint(self.gone), "UntrustedSignerError"),
            _release("unknown-key", "0c" * 32, "UntrustedSignerError"),
            _release("revoked-bundle", acme, "RefusedError", bundle=BUNDLE),
            _release("void-bundle", acme, "RefusedError", bundle=VOID),
            _release("last-second", acme, now=NOW + 1000),
            _release("expired", acme, "ExpiredError", now=NOW + 1001),
        ]

    def _vouching(self) -> list[Vector]:
        """Whose word counts of which model, whatever the time."""
        keys = {"acme": self.acme, "audio": self.audio, "gone": self.gone}
        signers = {name: SignerId(bytes.fromhex(fingerprint(key))) for name, key in keys.items()}
        signers["voice"] = WORKFLOW.signed_with(bytes(32))
        signers["issuer"] = replace(WORKFLOW, issuer="https://accounts.example").signed_with(bytes(32))
        signers["workflow"] = replace(WORKFLOW, identity=f"{WORKFLOW.identity}2").signed_with(bytes(32))
        return [
            {"signer": signers[name].to_json(), "model": model, "vouches": vouches}
            for name, model, vouches in (
                ("acme", MODEL, True),
                ("acme", "audio/steps", False),
                ("audio", "audio/steps", True),
                ("audio", MODEL, False),
                ("gone", MODEL, False),
                ("voice", "voice/wake", True),
                ("voice", MODEL, False),
                ("issuer", "voice/wake", False),
                ("workflow", "voice/wake", False),
            )
        ]

    def _tickets(self) -> list[Vector]:
        """Tickets for the roots of the first trust file."""
        first, second, third, stranger = self.roots
        acts = (
            Void(bytes.fromhex(VOID)),
            SetTime(NOW),
            ForgetQuarantine(),
            Adopt(5, ((MODEL, ReleaseOrder(3, NOW)),)),
        )
        ticket = Envelope(Kind.TICKET, Ticket(bytes(32), bytes(range(16)), acts).to_bytes())
        dance = canonical.decode(ticket.payload, "ticket") | {"acts": [{"act": "dance"}]}
        return [
            _ticket("two-of-three", ticket.signed(second).signed(third)),
            _ticket("one-of-three", ticket.signed(first), "SignatureError"),
            _ticket("publisher", ticket.signed(self.acme).signed(stranger), "SignatureError"),
            _ticket("trust-file", Envelope.from_bytes(self.trust.to_bytes(first, second)), "SignatureError"),
            _ticket(
                "unknown-act",
                Envelope(Kind.TICKET, canonical.encode(dance)).signed(first).signed(second),
                "UnsupportedVersionError",
            ),
        ]

    def _timestamps(self) -> list[Vector]:
        with tempfile.TemporaryDirectory() as folder:
            authority, other = TimeAuthority(Path(folder, "one")), TimeAuthority(Path(folder, "two"))
            with authority.serving() as url:
                said = timestamps.request(url, SIGNATURE)
        moment = timestamps.earliest([said], SIGNATURE, [authority.root])
        spoilt = said[:-1] + bytes([said[-1] ^ 1])
        return [
            _timestamp("genuine", [said], [authority.root], moment),
            _timestamp("several", [b"nothing", said], [other.root, authority.root], moment),
            _timestamp("another-authority", [said], [other.root], None),
            _timestamp("no-authority", [said], [], None),
            _timestamp("another-signature", [said], [authority.root], None, b"another signature"),
            _timestamp("spoilt", [spoilt], [authority.root], None),
        ]


def _signed(document: RootsDocument, *signers: Signer) -> Envelope:
    envelope = Envelope(Kind.ROOTS, document.to_bytes())
    for signer in signers:
        envelope = envelope.signed(signer)
    return envelope


def _without(members: Vector, name: str) -> Vector:
    return {key: value for key, value in members.items() if key != name}


def _floor(model: str) -> Vector:
    return {"model": model, "epoch": 1, "sealed_at": 1}


def _release(name: str, key: str, error: str | None = None, **changes: Any) -> Vector:
    usual = {"model": MODEL, "family": "", "sealed_at": NOW - 100, "bundle": "0d" * 16, "now": NOW}
    return {"name": name, "key": key} | usual | changes | {"error": error}


def _ticket(name: str, envelope: Envelope, error: str | None = None) -> Vector:
    return {"name": name, "file": envelope.to_bytes().decode(), "error": error}


def _timestamp(
    name: str,
    said: Iterable[bytes],
    authorities: Iterable[x509.Certificate],
    signed_at: int | None,
    signature: bytes = SIGNATURE,
) -> Vector:
    return {
        "name": name,
        "timestamps": [base64.b64encode(each).decode() for each in said],
        "signature": base64.b64encode(signature).decode(),
        "authorities": [each.public_bytes(Encoding.PEM).decode() for each in authorities],
        "signed_at": signed_at,
    }


def _clocks() -> list[Vector]:
    usual = {"clock": 500, "floor": 0, "witnessed": 0, "built": 100, "vouched": False, "sealed_at": 400}
    cases: list[tuple[Vector, int, int, list[int], int, bool]] = [
        ({}, 500, 500, [900], 500, False),
        ({"sealed_at": 900}, 500, 900, [], 0, False),
        ({"clock": 0}, 100, 400, [900], 0, False),
        ({"clock": 0, "floor": 300}, 300, 400, [900], 300, False),
        ({"clock": 299, "floor": 300}, 300, 400, [900], 300, False),
        ({"clock": 300, "floor": 300}, 300, 400, [900], 300, False),
        ({"clock": 0, "witnessed": 600}, 600, 600, [900], 600, False),
        ({"clock": 0, "witnessed": 6000}, 6000, 6000, [900], 900, False),
        ({"clock": 5000}, 5000, 5000, [900, 700], 700, False),
        ({"clock": 5000, "floor": 800}, 5000, 5000, [700], 800, False),
        ({"clock": 500, "floor": 300}, 500, 500, [], 300, False),
        ({"sealed_at": LATEST_TIME}, 500, LATEST_TIME, [900], 500, False),
        ({"sealed_at": 500 + 86_400, "vouched": True}, 500, 86_900, [900], 500, False),
        ({"sealed_at": 501 + 86_400, "vouched": True}, 500, 86_901, [900], 500, True),
        (
            {"clock": 500_000, "sealed_at": 600 + 86_400, "witnessed": 600},
            500_000,
            500_000,
            [900],
            900,
            False,
        ),
        ({"clock": 10**6, "sealed_at": 601 + 86_400, "witnessed": 600}, 10**6, 10**6, [900], 900, True),
    ]
    names = ("begins", "ends", "expiries", "remembered", "refused")
    return [usual | given | dict(zip(names, rest, strict=True)) for given, *rest in cases]


if __name__ == "__main__":
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "index.json").write_text(json.dumps(TrustVectors().all(), indent=1) + "\n")
