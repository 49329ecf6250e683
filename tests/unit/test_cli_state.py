"""`modelkeep state`: showing what a device remembers, and letting go of it with a ticket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelkeep.device.obeying import newest_of_each
from modelkeep.device.seen_trust import SeenTrust
from modelkeep.errors import RefusedError, RollbackError
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust.ticket import Adopt, SetTime, Ticket, VerifiedTicket, Void
from support.command_line import CommandLine
from support.paper import EVERYBODY, MODEL, PaperCounter, epoch_of, install, new_state

TRUST = "-t trust.json --trust-root root.pub"
INSTALL = f"modelkeep install {{}} -k file:pi-17.pem {TRUST} --model-id acme/detector -f -o installed.keep"
SEAL = "modelkeep seal model.onnx --model-id acme/detector -r pi-17.pub -s publisher.pem"


@pytest.fixture
def device(shop: CommandLine) -> CommandLine:
    """A device that believes a trust file and has installed release 700000 by mistake."""
    shop.ok("modelkeep keys create --kind root root.pem > root.pub")
    shop.ok("modelkeep trust create -o trust.json --expires +1d --publisher publisher.pub=acme/detector")
    shop.ok("modelkeep trust sign trust.json -s root.pem --yes")
    for epoch in (7, 700_000, 8):
        shop.ok(f"{SEAL} --epoch {epoch} -o {epoch}.keep")
    for epoch in (7, 700_000):
        shop.ok(INSTALL.format(f"{epoch}.keep"))
    return shop


def shown(device: CommandLine) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(device.ok("modelkeep state show -k file:pi-17.pem --json").out)
    return facts


def test_installing_says_what_it_replaced(shop: CommandLine) -> None:
    shop.ok(
        "modelkeep seal model.onnx --model-id acme/detector --epoch 2 -r pi-17.pub -s publisher.pem -o 2.keep"
    )
    using = "-k file:pi-17.pem -t publisher.pub --model-id acme/detector -f -o installed.keep"
    shop.ok(f"{SEAL} -o 1.keep")
    assert "installed acme/detector nothing -> 1: " in shop.ok(f"modelkeep install 1.keep {using}").err
    assert "installed acme/detector 1 -> 2: " in shop.ok(f"modelkeep install 2.keep {using}").err
    extract = "modelkeep extract installed.keep -k file:pi-17.pem -t publisher.pub -o out --unsafe-plaintext"
    assert "1 file of acme/detector 2 in the clear" in shop.ok(f"{extract} --any-model").err


@pytest.mark.parametrize("verb", ["install", "extract --unsafe-plaintext"])
@pytest.mark.parametrize("options", ["", "--any-model --model-id acme/detector"])
def test_the_model_has_to_be_named_or_said_to_be_any(shop: CommandLine, verb: str, options: str) -> None:
    line = f"modelkeep {verb} model.keep -k file:pi-17.pem -t publisher.pub -o out {options}"
    result = shop.shell(line)
    assert (result.code, "which model" in result.err) == (2, True)


def test_bundles_are_refused_where_installations_are_demanded(device: CommandLine) -> None:
    run = f"-k file:pi-17.pem {TRUST} --require-installed -i x=x.npy"
    device.ok(f"modelkeep run installed.keep {run}")
    assert device.shell(f"modelkeep run 700000.keep {run}").code == 3


def test_the_state_is_shown(device: CommandLine) -> None:
    facts = shown(device)
    assert [(each["epoch"], each["model"]) for each in facts["newest"]] == [(700_000, "acme/detector")]
    assert facts["is_newest"]
    text = device.ok("modelkeep state show -k file:pi-17.pem").out
    for words in (
        facts["device"],
        facts["generation"],
        "installed 700000@",
        "is_newest   yes",
        "counter     none",
        "trust       file 1, signed by 1 of 1",
    ):
        assert words in text


def test_a_ticket_is_good_once(device: CommandLine) -> None:
    facts = shown(device)
    make = f"modelkeep trust ticket -o ticket.json --void 700000.keep --device {facts['device']}"
    device.ok(f"{make} --generation {facts['generation']}")
    forget = f"modelkeep state forget -k file:pi-17.pem --ticket ticket.json {TRUST}"
    assert device.shell(forget).code == 3, "nobody has signed it"
    device.ok("modelkeep trust sign ticket.json -s root.pem --yes")
    assert device.shell(INSTALL.format("8.keep")).code == 3
    assert "release 700000" in device.ok(forget).err
    assert device.shell(f"modelkeep run installed.keep -k file:pi-17.pem {TRUST} -i x=x.npy").code == 3
    device.ok(INSTALL.format("8.keep"))
    assert "used before" in device.shell(forget).err
    assert device.shell(INSTALL.format("7.keep")).code == 3


def ticket(state: Any, *acts: Any, signers: bytes = b"r", **changes: Any) -> VerifiedTicket:
    named = {"device": state.device, "generation": state.look_at_file().generation} | changes
    return VerifiedTicket(Ticket(acts=acts, **named), frozenset(bytes([each]) * 32 for each in signers))


def test_a_ticket_for_another_device_does_nothing() -> None:
    state = new_state()
    install(state, 1, epoch=3)
    with pytest.raises(RefusedError, match="another device"):
        state.obey(ticket(state, SetTime(5), device=bytes(32)))


def test_a_publishers_key_voids_its_own_releases_and_nothing_else() -> None:
    state = new_state()
    install(state, 1, epoch=3)
    bundle = state.look().models[MODEL].marks[0].bundle
    for act, signers in [(SetTime(5), b"p"), (Void(bundle), b"q")]:
        with pytest.raises(RefusedError):
            state.obey(ticket(state, act, signers=signers))
    assert epoch_of(state) == 3
    state.obey(ticket(state, Void(bundle), signers=b"p"))
    assert epoch_of(state) == 0


def test_nothing_is_adopted_where_the_newest_state_is() -> None:
    counter = PaperCounter()
    state = new_state(counter)
    install(state, 1, epoch=3)
    assert counter.number is not None
    act = Adopt(counter.number, newest_of_each(state.look()))
    with pytest.raises(RefusedError, match="none has to be adopted"):
        state.obey(ticket(state, act), SeenTrust(1, frozenset({b"r" * 32}), 1))
    assert state.see(None).adopted_by is None


def test_nothing_is_adopted_where_nothing_counts() -> None:
    state = new_state()
    install(state, 1, epoch=3)
    with pytest.raises(RefusedError, match="for a counter that says 7"):
        state.obey(ticket(state, Adopt(7, newest_of_each(state.look()))), SeenTrust(1, frozenset(), 1))


def test_an_older_state_is_adopted_by_a_ticket_that_says_what_it_brings_back() -> None:
    counter = PaperCounter()
    state = new_state(counter)
    install(state, 1, epoch=3)
    kept = state.path.read_bytes()
    install(state, 2, epoch=4)
    state.path.write_bytes(kept)
    with pytest.raises(RollbackError):
        state.look()
    assert counter.number is not None
    ours, others = (SeenTrust(1, frozenset({bytes([key]) * 32}), 1) for key in b"ro")
    shown = newest_of_each(state.look_at_file())
    wrong = {
        "for a counter that says": Adopt(counter.number - 1, shown),
        "other releases": Adopt(counter.number, ((MODEL, ReleaseOrder(4, 0)),)),
    }
    for words, act in wrong.items():
        with pytest.raises(RefusedError, match=words):
            state.obey(ticket(state, act), ours)
    state.obey(ticket(state, Adopt(counter.number, shown)), ours)
    assert state.see(ours).floor(MODEL, EVERYBODY).order.epoch == 3
    # It counts for those alone who adopted it; others adopt it, too, or go on with a new key.
    for seen in (None, others):
        with pytest.raises(RollbackError, match="an older one counts for others"):
            state.see(seen)
    state.obey(ticket(state, Adopt(counter.number, shown), signers=b"o"), others)
    assert state.see(others).floor(MODEL, EVERYBODY).order.epoch == 3
    state.path.write_bytes(kept)
    with pytest.raises(RollbackError):
        state.look()
