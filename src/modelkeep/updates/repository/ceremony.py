"""The ceremony: people bring keys, agree on a digest, sign one after the other, and a repository is there.

Every step is a command that may be given again, by whom and where it suits: what is done is in the folder,
and what is missing follows from it. The same ceremony changes keys and thresholds later, renews what ends,
and brings a new trust file.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from modelkeep import dsse, public_key
from modelkeep.channels.channel import AbsentError
from modelkeep.errors import RollbackError, TamperedError, UsageError
from modelkeep.public_key import TrustedKey
from modelkeep.storage import folder_locked, make_folder, words_for
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.roots import Roots
from modelkeep.trust.trust_file import TrustFile
from modelkeep.updates.repository.catalogue import ROOTS_NAME, TRUST_NAME
from modelkeep.updates.repository.metadata import METADATA
from modelkeep.updates.repository.papers import FOLDER, Papers
from modelkeep.updates.repository.plan import Plan
from modelkeep.updates.repository.progress import Progress
from modelkeep.updates.repository.published import Published
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.round import Round


class Ceremony:
    """The ceremony of a repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._papers = Papers(repository.channel)

    def begin(self, plan: Plan) -> None:
        """Says who takes part, or who does from now on; keys that were brought stay.

        Raises:
            UsageError: the plan is none.
            StorageError: it cannot be written.
        """
        for name in (FOLDER, METADATA):
            with words_for(folder := self._repository.folder / name):
                make_folder(folder, 0o755)
        with self._locked():
            known = self._papers.plan()
            for place, key in ({} if known is None else known.keys).items():
                if place in plan.places:
                    plan = plan.with_key(place, key)
            self._papers.write_plan(plan)

    def bring(self, place: str, key: TrustedKey) -> None:
        """Puts a public key at its place.

        Raises:
            UsageError: no ceremony has begun, no such place, or the key stands at another one.
        """
        self._plan()
        with self._locked():
            self._papers.write_plan(self._plan().with_key(place, public_key.load(key)))

    def bring_trust(self, data: bytes) -> None:
        """Brings a trust file that its roots have signed, to be published.

        Raises:
            SignatureError, MalformedError: it does not hold.
            RollbackError: it is older than the one that is published.
        """
        published = self._published()
        if published is None:
            raise UsageError("the first trust file is made by the ceremony itself")
        trust = TrustFile.from_bytes(data, Roots.of_document(published.documents[ROOTS_NAME]))
        last = Envelope.from_bytes(published.documents[TRUST_NAME], Kind.TRUST)
        if trust.number <= TrustFile.unverified(last).number:
            raise RollbackError(f"trust file {trust.number} is not newer than the one that is published")
        self._papers.write_envelope(Envelope.from_bytes(data, Kind.TRUST))

    def advance(
        self,
        signers: Sequence[dsse.EcdsaSigner] = (),
        trust_signers: Sequence[dsse.EcdsaSigner] = (),
        agreed: str | None = None,
    ) -> Progress:
        """Goes on as far as the keys at hand allow; without keys it says how far things are.

        Args:
            signers: keys of the channel's roles.
            trust_signers: keys of the people for trust files.
            agreed: the digest that people agreed on; nothing is signed without.

        Raises:
            UsageError: no ceremony has begun, a key that has no place, or another digest.
            TamperedError: what is published is not what was signed.
            UnavailableError: something cannot be written, or a key not be used.
        """
        self._plan()
        with self._locked(), self._repository.locked():
            plan = self._plan()
            if plan.missing:
                self._refuse_signers([*signers, *trust_signers], plan)
                return Progress(plan)
            before = self._published()
            if before is not None:
                self._repository.check_known(before)
            return Round(self._repository, self._papers, plan, before).advance(signers, trust_signers, agreed)

    def _locked(self) -> AbstractContextManager[None]:
        # Several people may bring their keys at once, on a share.
        return folder_locked(self._repository.folder / FOLDER / "plan.json")

    def _refuse_signers(self, signers: Sequence[dsse.EcdsaSigner], plan: Plan) -> None:
        if signers:
            raise UsageError(
                f"keys are missing, so that nothing can be signed: {', '.join(plan.missing)}",
                hint="bring them first: --key PLACE=PUBLIC.pem",
            )

    def _plan(self) -> Plan:
        plan = self._papers.plan()
        if plan is None:
            raise UsageError(
                "no ceremony has begun here", hint="say who takes part: --person NAME ... --threshold N"
            )
        return plan

    def _published(self) -> Published | None:
        channel = self._repository.channel
        try:
            return Published.read(channel)
        except AbsentError:
            return None
        except TamperedError:
            # A new root is seen before what is signed under it: an end in between is gone on with here.
            draft = self._papers.root_version()
            if draft is None or draft < 2:
                raise
            return Published.read(channel, last_root=draft - 1)
