"""Writes the test vectors of what devices remember into vectors/v1/states.

Run as ``python vectors/generate_states.py``; nothing in it is random.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelkeep.device import contents_json
from modelkeep.device.contents import Contents, Installed, Quarantined
from modelkeep.device.marks import Mark, floor_of, with_mark
from modelkeep.device.obeying import obey
from modelkeep.device.seen_trust import SeenTrust, TrustEntry, with_seen, with_time
from modelkeep.device.state_place import state_path
from modelkeep.device.tuf_roles import TufRole
from modelkeep.errors import KeepError
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId, TypedSubject
from modelkeep.trust.ticket import Act, Adopt, ForgetQuarantine, SetTime, Ticket, VerifiedTicket, Void

FOLDER = Path(__file__).parent / "v1" / "states"
MODEL = "acme/detector"
HIGHEST = 2**53 - 1
P, Q = SignerId(b"p" * 32), SignerId(b"q" * 32)
CERTIFIED = SignerId(b"p" * 32, b"r" * 32, TypedSubject("cn", "acme"))


@dataclass(frozen=True)
class Judging:
    """Whom a verifier believes, its own floor, and what is void in its trust file."""

    signers: tuple[SignerId, ...]
    own_floor: ReleaseOrder | None = None
    void: frozenset[bytes] = frozenset()

    def vouches(self, model: str, signer: SignerId) -> bool:
        """Returns whether the signer is one of those."""
        return signer in self.signers

    def floor(self, model: str) -> ReleaseOrder | None:
        """Returns the floor."""
        return self.own_floor


def mark(epoch: int, sealed_at: int, bundle: int, signer: SignerId = P, voucher: bytes = b"") -> Mark:
    """Returns the mark of a bundle, for readers of no trust file by default."""
    return Mark(signer, ReleaseOrder(epoch, sealed_at), bundle.to_bytes(16, "big"), voucher or signer.key)


def keys(letters: str) -> frozenset[bytes]:
    """Returns root keys of one letter each."""
    return frozenset(letter.encode() * 32 for letter in letters)


FIRST, SECOND, FORK = b"1" * 32, b"2" * 32, b"3" * 32
OURS = SeenTrust(5, keys("abc"), 2)
CHAIN = SeenTrust(5, keys("abc"), 2, FIRST, {1: FIRST, 2: SECOND})


def outcome(work: Callable[[], Any]) -> dict[str, Any]:
    """Returns what came of something: the name of the error, or null."""
    try:
        work()
    except KeepError as error:
        return {"error": type(error).__name__}
    return {"error": None}


def check(about: str, marks: list[Mark], judge: Judging, release: Mark) -> dict[str, Any]:
    """Returns a vector: is a release refused, with these marks and this verifier?"""
    floor = judge.own_floor
    return {
        "about": about,
        "marks": [to_json(each) for each in marks],
        "vouched": [signer.to_json() for signer in judge.signers],
        "floor": None if floor is None else list(floor),
        "void": sorted(bundle.hex() for bundle in judge.void),
        "release": to_json(release),
    } | outcome(lambda: floor_of(marks, MODEL, judge).check(release.order, release.bundle))


def to_json(each: Mark) -> dict[str, Any]:
    """Returns a mark as states have it."""
    order = {"epoch": each.order.epoch, "sealed_at": each.order.sealed_at}
    names = {"bundle": each.bundle.hex(), "voucher": each.voucher.hex()}
    return order | names | {"signer": each.signer.to_json()}


def checks() -> list[dict[str, Any]]:
    """Returns the vectors of places and marks."""
    both, only_p = Judging((P, Q)), Judging((P,))
    at_5, typo = [mark(5, 100, 1)], mark(700_000, 1, 3)
    void = frozenset({typo.bundle})
    return [
        check("nothing is remembered", [], both, mark(0, 0, 9)),
        check("the release itself", at_5, both, mark(5, 100, 1)),
        check("another bundle at its place", at_5, both, mark(5, 100, 2)),
        check("sealed a second before", at_5, both, mark(5, 99, 2)),
        check("sealed a second later", at_5, both, mark(5, 101, 2)),
        check("an older epoch that was sealed later", at_5, both, mark(4, HIGHEST, 2)),
        check("a newer epoch that was sealed before", at_5, both, mark(6, 0, 2)),
        check("a mark of somebody who is not vouched for", [mark(HIGHEST, 1, 3, Q)], only_p, mark(1, 1, 2)),
        check(
            "the same key with a certificate is another signer",
            [mark(9, 1, 3, CERTIFIED)],
            only_p,
            mark(1, 1, 2),
        ),
        check(
            "the latest of two marks at one place", [mark(5, 1, 1), mark(5, 1, 2, Q)], both, mark(5, 1, 2, Q)
        ),
        check(
            "the earlier of two marks at one place", [mark(5, 1, 1), mark(5, 1, 2, Q)], both, mark(5, 1, 1)
        ),
        check("the floor of the trust file", [], Judging((P,), ReleaseOrder(3, 7)), mark(3, 7, 9)),
        check("below the floor of the trust file", [], Judging((P,), ReleaseOrder(3, 7)), mark(3, 6, 9)),
        check("a floor at the place of a mark", at_5, Judging((P,), ReleaseOrder(5, 100)), mark(5, 100, 2)),
        check("a floor above a mark", at_5, Judging((P,), ReleaseOrder(6, 0)), mark(5, 100, 1)),
        check("a mark that is void here", [*at_5, typo], Judging((P,), void=void), mark(6, 0, 2)),
        check("below a mark that is not void here", [*at_5, typo], only_p, mark(6, 0, 2)),
        check(
            "below what is left beside a void mark", [*at_5, typo], Judging((P,), void=void), mark(4, 0, 2)
        ),
    ]


def commit(about: str, marks: list[Mark], new: Mark) -> dict[str, Any]:
    """Returns a vector: which marks there are after a commit."""
    vector = {"about": about, "marks": [to_json(each) for each in marks], "new": to_json(new)}
    result = outcome(lambda: with_mark(tuple(marks), new))
    kept = None if result["error"] else [to_json(each) for each in with_mark(tuple(marks), new)]
    return vector | result | {"after": kept}


def commits() -> list[dict[str, Any]]:
    """Returns the vectors of commits."""
    four = [mark(epoch, 0, epoch) for epoch in (1, 2, 3, 4)]
    sixteen = [mark(1, 0, number, SignerId(bytes([number]) * 32)) for number in range(16)]
    return [
        commit("the first", [], mark(1, 0, 1)),
        commit("the fifth of a signer takes the place of the lowest", four, mark(5, 0, 5)),
        commit("other signers' marks stay", [*four, mark(1, 0, 9, Q)], mark(5, 0, 5)),
        commit("below all others, which are void", four, mark(0, 9, 5)),
        commit("once more the same", four, mark(2, 0, 2)),
        commit("the seventeenth signer of a model", sixteen, mark(9, 0, 99, Q)),
        commit("another of the sixteen", sixteen, mark(9, 0, 99, SignerId(bytes([3]) * 32))),
        commit("the same signer for others: nobody's give way", four, mark(5, 0, 5, voucher=OURS.voucher)),
        commit("the same release for others", four, mark(2, 0, 2, voucher=OURS.voucher)),
        commit("the seventeenth, of a signer that others have", sixteen, mark(9, 0, 9, P, OURS.voucher)),
    ]


def sighting(about: str, before: list[SeenTrust], now: SeenTrust, time: int = 0) -> dict[str, Any]:
    """Returns a vector: what is remembered of trust files after one more, which was seen at no time."""
    entries: tuple[TrustEntry, ...] = ()
    for each in before:
        entries = with_seen(entries, each)
        entries = with_time(entries, entries, time)
    result = outcome(lambda: with_seen(entries, now))
    after = None if result["error"] else [entry_to_json(each) for each in with_seen(entries, now)]
    file = {
        "number": now.number,
        "keys": sorted(key.hex() for key in now.keys),
        "threshold": now.threshold,
        "set": None if now.set is None else now.set.hex(),
        "documents": {str(number): digest.hex() for number, digest in now.documents.items()},
    }
    remembered = [entry_to_json(each) for each in entries]
    return {"about": about, "trust": remembered, "file": file, "after": after} | result


def entry_to_json(entry: TrustEntry) -> dict[str, Any]:
    """Returns an entry as states have it."""
    state = json.loads(contents_json.to_bytes(Contents(trust=(entry,))))
    entries: list[dict[str, Any]] = state["trust"]
    return entries[0]


def sightings() -> list[dict[str, Any]]:
    """Returns the vectors of trust files that are seen."""
    loose, chain, first, second, fork = OURS, CHAIN, FIRST, SECOND, FORK
    return [
        sighting("the first", [], loose),
        sighting("the same once more", [loose], loose),
        sighting("an older one", [loose], SeenTrust(4, keys("abc"), 2)),
        sighting("an older one, with two of three keys the same", [loose], SeenTrust(4, keys("abd"), 2)),
        sighting("an older one, with one of three keys the same", [loose], SeenTrust(4, keys("ade"), 2)),
        sighting("one key is enough where the new threshold is one", [loose], SeenTrust(4, keys("ade"), 1)),
        sighting("a newer one raises what counts", [loose], SeenTrust(6, keys("abd"), 2)),
        sighting("roots that come back", [loose, SeenTrust(6, keys("abd"), 2)], SeenTrust(5, keys("abc"), 2)),
        sighting(
            "a chain whose keys were all replaced",
            [chain],
            SeenTrust(4, keys("xyz"), 2, first, {1: first, 2: second, 3: fork}),
        ),
        sighting(
            "a chain that ends before what was seen", [chain], SeenTrust(6, keys("abc"), 2, first, {1: first})
        ),
        sighting(
            "another document with a number that was seen",
            [chain],
            SeenTrust(6, keys("abc"), 2, first, {1: first, 2: fork}),
        ),
        sighting(
            "a document that nothing leads to",
            [chain],
            SeenTrust(6, keys("x"), 1, first, {1: first, 9: fork}),
        ),
        sighting("another chain of other keys", [chain], SeenTrust(1, keys("xyz"), 2, fork, {1: fork})),
        sighting(
            "another chain that names the same keys", [chain], SeenTrust(1, keys("abc"), 2, fork, {1: fork})
        ),
        sighting("a chain after loose keys", [loose], chain._replace(number=4)),
        sighting("a chain raises no loose keys", [loose], chain._replace(number=6)),
        sighting("loose keys after a chain", [chain], loose._replace(number=4)),
        sighting("loose keys with another threshold are other roots", [loose], loose._replace(threshold=1)),
        sighting("the same roots have the time that they had", [loose], loose, time=9),
        sighting(
            "new roots begin with the time of what counts", [loose], SeenTrust(6, keys("abd"), 2), time=9
        ),
        sighting("strangers' roots know nothing of the time", [loose], SeenTrust(1, keys("xyz"), 2), time=9),
    ]


def everything() -> Contents:
    """Returns contents that have something of everything."""
    state = Contents(counter=7, generation=bytes(range(16)), tuf={"root": TufRole(1, bytes(32))})
    state.adopted_by = keys("v")
    state.see(SeenTrust(3, keys("a"), 1), lambda _: 5)
    state.see(SeenTrust(4, keys("bc"), 2, FIRST, {1: FIRST}), lambda _: 6)
    model = state.model(MODEL)
    for number, signer in [(1, P), (2, CERTIFIED)]:
        new = mark(number, number, number, signer)
        model.stage(new.bundle, Installed(new, bytes(32)))
        model.commit(MODEL, new.bundle, Judging(()))
    model.put_in_quarantine(Quarantined(bytes(16), 1, FIRST))
    return state


def installed_for(*vouchers: bytes) -> Contents:
    """Returns contents with a release of each of some vouchers, all by one publisher."""
    state = Contents()
    for seen in (OURS, CHAIN, SeenTrust(9, keys("x"), 1)):
        state.see(seen, lambda _: 5)
    for number, voucher in enumerate(vouchers, start=1):
        new = mark(number, number, number, voucher=voucher)
        state.model(MODEL).stage(new.bundle, Installed(new, bytes(32)))
        state.model(MODEL).commit(MODEL, new.bundle, Judging(()))
        state.model(MODEL).put_in_quarantine(Quarantined(new.bundle, 1, voucher))
    return state


def obeyed(about: str, act: Act, signers: str, *, device: bytes = bytes(32)) -> dict[str, Any]:
    """Returns a vector: what a ticket by some keys makes of what three have installed."""
    before = installed_for(P.key, OURS.voucher, CHAIN.voucher)
    ticket = Ticket(device, before.generation, (act,))
    after = deepcopy(before)
    result = outcome(lambda: obey(after, bytes(32), VerifiedTicket(ticket, keys(signers))))
    bodies = [base64.b64encode(contents_json.to_bytes(each)).decode() for each in (before, after)]
    return {
        "about": about,
        "body": bodies[0],
        "ticket": base64.b64encode(ticket.to_bytes()).decode(),
        "device": bytes(32).hex(),
        "signers": sorted(key.hex() for key in keys(signers)),
        "after": None if result["error"] else bodies[1],
    } | result


def tickets() -> list[dict[str, Any]]:
    """Returns the vectors of tickets; x is a stranger's root, p the publisher."""
    own, ours, chains = (Void(number.to_bytes(16, "big")) for number in (1, 2, 3))
    adopt = Adopt(7, ((MODEL, ReleaseOrder(3, 3)),))
    return [
        obeyed("loose roots take theirs back", ours, "ab"),
        obeyed("too few of them", ours, "a"),
        obeyed("a chain takes its own back", chains, "bc"),
        obeyed("a publisher takes back what was installed by its key alone", own, "p"),
        obeyed("a publisher, of what was installed by a trust file", ours, "p"),
        obeyed("roots, of what was installed by the publisher's key alone", own, "abc"),
        obeyed("a stranger, of each", own, "x"),
        obeyed("a stranger, of ours", ours, "x"),
        obeyed("a stranger, of a chain's", chains, "xp"),
        obeyed("roots set their own time", SetTime(2), "ab"),
        obeyed("a stranger sets its own time", SetTime(9), "x"),
        obeyed("a publisher sets no time", SetTime(2), "p"),
        obeyed("roots forget their own quarantine", ForgetQuarantine(), "ab"),
        obeyed("a stranger has none to forget", ForgetQuarantine(), "x"),
        obeyed("a state is adopted for who signed", adopt, "x"),
        obeyed("not by a publisher", adopt, "p"),
        obeyed("not if it says otherwise", Adopt(7, ((MODEL, ReleaseOrder(2, 2)),)), "ab"),
        obeyed("for another device", ours, "ab", device=bytes(31) + b"1"),
    ]


def body(about: str, change: Callable[[dict[str, Any]], None] = lambda _body: None) -> dict[str, Any]:
    """Returns a vector: is the body of a state read?"""
    members = json.loads(contents_json.to_bytes(everything()))
    change(members)
    data = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    return {"about": about, "body": base64.b64encode(data).decode()} | outcome(
        lambda: contents_json.from_bytes(data)
    )


def place_of(members: dict[str, Any], path: tuple[Any, ...]) -> Any:
    """Returns what is at the end of a path."""
    place: Any = members
    for step in path:
        place = place[step]
    return place


def repeat(path: tuple[Any, ...], times: int) -> Callable[[dict[str, Any]], None]:
    """Returns the change that makes an array so long."""

    def change(members: dict[str, Any]) -> None:
        place = place_of(members, path)
        numbered = [{"id": f"{number:032x}"} if "id" in place[0] else {} for number in range(times)]
        place[:] = [place[0] | each for each in numbered]

    return change


def put(path: tuple[Any, ...], value: Any) -> Callable[[dict[str, Any]], None]:
    """Returns the change that puts something at the end of a path."""

    def change(members: dict[str, Any]) -> None:
        place_of(members, path[:-1])[path[-1]] = value

    return change


def bodies() -> list[dict[str, Any]]:
    """Returns the vectors of bodies: every label and every limit."""
    model = ("models", 0)
    vectors = [body("something of everything")]
    for name in ("marks", "installations", "quarantine"):
        for times in (64, 65):
            vectors.append(body(f"{times} {name}", repeat((*model, name), times)))
    for stage in ("staged", "trial", "current", "pending"):
        vectors.append(body(f"stage {stage}", put((*model, "installations", 0, "stage"), stage)))
    for path, value in [
        (("format",), "modelkeep/states"),
        (("version",), 2),
        (("counter",), None),
        (("counter",), HIGHEST + 1),
        (("generation",), "00"),
        ((*model, "active"), None),
        ((*model, "newer"), 1),
        (("newer",), 1),
        (("trust", 0, "threshold"), 0),
        (("adopted_by",), None),
        (("adopted_by",), ["61" * 32] * 65),
        ((*model, "marks", 0, "voucher"), "61"),
        ((*model, "quarantine", 0, "voucher"), "61"),
        (("trust", 0, "keys"), ["61" * 32] * 65),
        ((*model, "marks", 0, "signer", "newer"), 1),
        (("ext",), {}),
        ((*model, "marks", 0, "signer", "ext"), {}),
        (("adopted_by",), ["62" * 32, "61" * 32]),
    ]:
        vectors.append(body(f"{path[-1]} {str(value)[:20]}", put(path, value)))
    return vectors


def main() -> None:
    """Writes the index."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    public = bytes(range(65))
    index = {
        "format": "modelkeep/state-vectors",
        "version": 1,
        "names": [{"public": public.hex(), "name": state_path(public).name}],
        "checks": checks(),
        "commits": commits(),
        "trust": sightings(),
        "bodies": bodies(),
        "tickets": tickets(),
    }
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
