"""A release's place with its model's id, as trust files and tickets write it. Source: spec/trust-v1.md."""

from __future__ import annotations

from typing import Any

from modelkeep.clock import LATEST_TIME
from modelkeep.errors import UsageError
from modelkeep.manifest import check_model_id
from modelkeep.record import Record
from modelkeep.release_order import ReleaseOrder


def to_json(model: str, order: ReleaseOrder) -> dict[str, Any]:
    """Returns the members."""
    return {"model": model, "epoch": order.epoch, "sealed_at": order.sealed_at}


def from_json(item: object, what: str) -> tuple[str, ReleaseOrder]:
    """Returns the model's id and the place; errors call the item a `what`.

    Raises:
        MalformedError: not of this form.
    """
    with Record(item, what) as record:
        model = record.text("model")
        try:
            check_model_id(model)
        except UsageError:
            raise record.fault("model", "is not a model id") from None
        return model, ReleaseOrder(record.integer("epoch"), record.integer("sealed_at", highest=LATEST_TIME))
