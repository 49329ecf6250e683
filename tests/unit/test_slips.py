"""Slips at the door: each gets an error that says what was meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import modelkeep as mk
from support.workshop import MODEL_ID, Workshop


def test_a_session_that_is_handed_an_array_says_what_inputs_are(workshop: Workshop) -> None:
    with workshop.open(workshop.seal()) as session:
        for slip in (np.zeros(4, np.float32), None, [1, 2]):
            with pytest.raises(mk.UsageError, match="inputs are arrays by name"):
                session.run(slip)  # type: ignore[arg-type]


def test_an_identity_may_be_a_uri_or_a_path(workshop: Workshop) -> None:
    bundle = workshop.seal()
    for key in (f"file:{workshop.device}", str(workshop.device), workshop.device):
        mk.open(bundle, identity=key, verifier=workshop.verifier()).close()


@pytest.mark.parametrize("identity", [None, 7, b"file:pi-17.pem"])
def test_what_is_no_identity_is_refused(workshop: Workshop, identity: Any) -> None:
    with pytest.raises(mk.UsageError, match="not an identity"):
        mk.open(workshop.seal(), identity=identity, verifier=workshop.verifier())


@pytest.mark.parametrize("verifier", [None, "publisher.pub"])
def test_what_is_no_verifier_is_refused(workshop: Workshop, verifier: Any) -> None:
    with pytest.raises(mk.UsageError, match="not a verifier"):
        mk.open(workshop.seal(), identity=workshop.identity(), verifier=verifier)


def test_one_recipient_needs_no_list_and_a_signer_may_be_a_path(workshop: Workshop) -> None:
    line = mk.format_recipient(workshop.identity().recipient())  # type: ignore[arg-type]
    (workshop.folder / "device.pub").write_text(line)
    for to in (line, str(workshop.folder / "device.pub"), workshop.identity().recipient()):
        draft = mk.seal(workshop.model(), model=MODEL_ID, to=to, signer=workshop.publisher_pem)
        workshop.open(draft.save(workshop.folder / "one.keep", force=True)).close()


@pytest.mark.parametrize("slip", [7, [None], {"a": 1}.values()])
def test_what_is_no_recipient_is_refused(workshop: Workshop, slip: Any) -> None:
    with pytest.raises(mk.UsageError, match="not a recipient"):
        mk.seal(workshop.model(), model=MODEL_ID, to=slip, signer=workshop.publisher_pem)


def test_what_is_no_signer_is_refused(workshop: Workshop) -> None:
    to = workshop.identity().recipient()
    with pytest.raises(mk.UsageError, match="not a signer"):
        mk.seal(workshop.model(), model=MODEL_ID, to=to, signer=7)  # type: ignore[arg-type]


def test_what_people_print_is_one_line_without_secrets(workshop: Workshop) -> None:
    with workshop.open(workshop.seal()) as session:
        lines = [repr(session), repr(session.report), repr(workshop.verifier()), repr(workshop.identity())]
    assert all("\n" not in line and len(line) < 160 for line in lines)
    assert MODEL_ID in lines[0] and MODEL_ID in lines[1] and MODEL_ID in lines[2]
