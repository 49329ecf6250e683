"""A granter with everything that it needs in one folder: keys, roster, policy, a bundle, two mailboxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelkeep.device.state_place import device_id
from modelkeep.errors import KeepError
from modelkeep.granter import policy_file
from modelkeep.granter.enrolment import enrol
from modelkeep.granter.granter import Tally, run_granter
from modelkeep.granter.journal import entries_of
from modelkeep.granter.journal_entry import Event, JournalEntry
from modelkeep.granter.mailbox import REQUEST_ENDING
from modelkeep.granter.policy import GranterPolicy
from modelkeep.granter.question import Question
from modelkeep.granter.roster import Roster
from modelkeep.granter.roster_device import RosterDevice
from modelkeep.granter.roster_editing import with_devices, without_devices
from modelkeep.granter.state import journal_path
from modelkeep.grants import sidecar
from modelkeep.grants.grant import Grant
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.key_purpose import Purpose
from modelkeep.keys.identity import Identity
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.verifier import Verifier
from support.workshop import MODEL_ID, Workshop

DAY = 86_400
NOW = 1_900_000_000
END_OF_ROSTER = NOW + 1000 * DAY

POLICY = """
format = "modelkeep/granter-policy"
version = 1
origin = "acme"
state = "state of granter"
first-grants-a-day = {firsts}
handovers-a-lease = {handovers}
bundles = [{bundles}]

[roster]
file = "roster.json"
operators = ["operator.pub"]
"""


class Desk:
    """Where devices ask and are granted, and what an attacker of the mailboxes can reach.

    Attributes:
        requests, answers: the mailboxes.
        bundle: what is granted.
    """

    def __init__(self, workshop: Workshop, *, firsts: int = 20) -> None:
        self.workshop, self.folder = workshop, workshop.folder
        self.requests, self.answers = self.folder / "requests", self.folder / "answers"
        self.requests.mkdir()
        self.answers.mkdir()
        self.admin = workshop.new_device("admin")
        for name, kind in (("issuer", "signing"), ("operator", "operator")):
            public = create_signing_key(self.folder / f"{name}.pem", kind)
            (self.folder / f"{name}.pub").write_bytes(public)
        self.issuer = Signer.from_pem(self.folder / "issuer.pem")
        self.bundle = self.seal()
        self.roster = Roster.of(1, END_OF_ROSTER, ())
        self.sign()
        self.write_policy(firsts=firsts)

    def seal(self, **options: Any) -> Path:
        """Seals another release or model for the administrator alone, to be leased."""
        settings: dict[str, Any] = {
            "grant_signer": self.issuer,
            "to": [],
            "sealed_at": NOW - DAY,
            "leased": True,
        }
        settings["admins"] = [self.admin.with_suffix(".pub")]
        return self.workshop.seal(**settings | options)

    def write_policy(
        self,
        *,
        firsts: int = 20,
        handovers: int = 1,
        more: str = "",
        bundles: Iterable[Path] | None = None,
    ) -> None:
        """Writes the policy, with tables that come behind it."""
        names = ", ".join(f'"{each.name}"' for each in bundles or [self.bundle])
        text = POLICY.format(firsts=firsts, handovers=handovers, bundles=names)
        self.policy.write_text(text + more)

    @property
    def policy(self) -> Path:
        """The policy's file."""
        return self.folder / "granter.toml"

    def enlist(self, *devices: str, models: tuple[str, ...] = (MODEL_ID,), **details: Any) -> None:
        """Puts devices on the next roster, and signs it."""
        for name in devices:
            self.enlist_key(self.recipient(name), models, **details)

    def enlist_key(
        self, recipient: HpkeRecipient, models: tuple[str, ...] = (MODEL_ID,), **details: Any
    ) -> None:
        """Puts a key on the next roster, and signs it."""
        device = RosterDevice.of(recipient, models, **details)
        self.roster = with_devices(self.roster, [device], replace=True)
        self.sign()

    def strike(self, *devices: str) -> None:
        """Leaves devices out of the next roster, and signs it."""
        self.roster = without_devices(self.roster, devices)
        self.sign()

    def sign(self) -> None:
        """Has the operator sign the roster."""
        self.sign_with(Signer.from_pem(self.folder / "operator.pem", purpose=Purpose.OPERATOR))

    def sign_with(self, operator: Signer, number: int | None = None) -> None:
        """Signs the roster, or the same devices under another number."""
        if number is not None:
            self.roster = Roster.of(number, END_OF_ROSTER, self.roster.devices)
        self.roster = replace(self.roster, envelope=self.roster.envelope.signed(operator))
        self.roster.write(self.folder / "roster.json", force=True)

    def key(self, name: str) -> str:
        """Returns the URI of a device's key, which is made where there is none."""
        path = self.folder / f"{name}.pem"
        return f"file:{path if path.exists() else self.workshop.new_device(name)}"

    def recipient(self, name: str) -> HpkeRecipient:
        """Returns the public key of a device."""
        with Identity(self.key(name)) as identity:
            recipient = identity.recipient(name)
        assert isinstance(recipient, HpkeRecipient)
        return recipient

    def device(self, name: str) -> bytes:
        """Returns by what a device is known."""
        return device_id(self.recipient(name).public)

    def ask(self, name: str, *models: str, file: str | None = None, **options: Any) -> Path:
        """Has a device put its request into the mailbox."""
        request = enrol(self.key(name), models or (MODEL_ID,), **options)
        path = self.requests / f"{file or name}{REQUEST_ENDING}"
        path.write_bytes(request.to_bytes())
        return path

    def run(self, at: int = NOW, policy: GranterPolicy | None = None, **options: Any) -> Tally:
        """Lets the granter look once, by the policy's file or another policy."""
        return run_granter(
            self.requests,
            self.answers,
            policy or policy_file.read(self.policy),
            identity=str(self.admin),
            grant_signer=self.issuer,
            verifier=self.verifier(at),
            clock=lambda: float(at),
            **options,
        )

    def hand_over(self, old: str, new: str, at: int) -> Tally:
        """Has a new key ask for the place of an old one, and answer; returns what came of the answer."""
        self.ask(new, replaces=self.key(old))
        self.run(at)
        self.ask(new, replaces=self.key(old), question=self.question(new))
        return self.run(at)

    def verifier(self, at: int = NOW) -> Verifier:
        """Returns a verifier of the publisher, at some time."""
        return self.workshop.verifier(model=UnsafeAnyModel(), clock=lambda: float(at))

    def grants(self, name: str) -> list[Grant]:
        """Returns what lies in the mailbox for a device."""
        return list(sidecar.read(self.answers / f"{self.device(name).hex()}.grants"))

    def grants_file(self, name: str) -> Path:
        """Returns where the grants of a device are."""
        return self.answers / f"{self.device(name).hex()}.grants"

    def question(self, name: str) -> Question | None:
        """Returns what a device is asked, if something is."""
        return self.question_to(self.recipient(name))

    def question_to(self, recipient: HpkeRecipient) -> Question | None:
        """Returns what the device with a key is asked, if something is."""
        path = self.answers / f"{device_id(recipient.public).hex()}.question.json"
        return Question.from_bytes(path.read_bytes()) if path.exists() else None

    def opens(self, name: str, at: int = NOW) -> bool:
        """Returns whether a device opens the bundle with what lies in the mailbox for it."""
        access: dict[str, Any] = {"identity": self.key(name), "verifier": self.verifier(at)}
        try:
            self.workshop.open(self.bundle, grant_file=self.grants_file(name), **access).close()
        except KeepError:
            return False
        return True

    @property
    def state(self) -> Path:
        """The granter's own folder."""
        return self.folder / "state of granter"

    def journal(self, *events: Event) -> list[JournalEntry]:
        """Returns the lines of the journal, or those of some kinds."""
        found = [entry for entry, _ in entries_of(journal_path(self.state))]
        return [entry for entry in found if not events or entry.event in events]

    def waiting(self) -> list[Path]:
        """Returns the requests that are still in the mailbox."""
        return sorted(self.requests.iterdir())
