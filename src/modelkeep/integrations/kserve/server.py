"""KServe's server with models that nobody who asks can end, and requests of a bounded size."""

from __future__ import annotations

from typing import Any

from kserve import ModelRepository, ModelServer
from kserve.constants.constants import INFERENCE_CONTENT_LENGTH_HEADER
from kserve.errors import InvalidInput
from kserve.model_server import app
from kserve.protocol.dataplane import DataPlane

from modelkeep.integrations.kserve.bodies import Bounded, largest_body
from modelkeep.integrations.kserve.model import SealedModel
from modelkeep.integrations.kserve.parts import check_parts

LARGEST_BODY = 64 * 2**20


class _OpenedOnce(ModelRepository):  # type: ignore[misc]
    """Models that are open from the beginning to the end of the process."""

    ends = False

    def unload(self, name: str) -> None:
        """Wipes a model when the server ends, never because a client asks."""
        if not self.ends:
            raise InvalidInput("models are not unloaded by request")
        super().unload(name)


class _CheckedParts(DataPlane):  # type: ignore[misc]
    def decode_inference_request(self, body: Any, headers: dict[str, str], model_name: str) -> Any:
        """Takes a V2 request apart."""
        if isinstance(body, bytes):
            check_parts(body, headers.get(INFERENCE_CONTENT_LENGTH_HEADER))
        return super().decode_inference_request(body, headers, model_name)


class SealedServer(ModelServer):  # type: ignore[misc]
    """Answers by HTTP; gRPC, which has a decoder and limits of its own, is off."""

    def __init__(self, **options: Any) -> None:
        super().__init__(registered_models=_OpenedOnce(), enable_grpc=False, **options)
        self.dataplane = _CheckedParts(model_registry=self.registered_models)

    def serve(self, model: SealedModel, largest: int = LARGEST_BODY) -> None:
        """Answers until the process is told to end; wipes the model then.

        Args:
            model: whose session is open.
            largest: how many bytes a request has at most; fewer where the contract allows no such inputs.
        """
        # There is one application in a process, KServe's own.
        app.add_middleware(Bounded, most=largest_body(model.session.contract, largest))
        self.start([model])

    def stop(self, sig: int) -> None:
        """Ends: called for a signal."""
        self.registered_models.ends = True
        super().stop(sig)
