"""A web service of LitServe's with a sealed model: `python litserve_service.py`.

Each worker process opens the model when it starts. Whose key and whom to trust come from modelkeep's settings
(MODELKEEP_KEY, MODELKEEP_TRUST, MODELKEEP_MODEL_ID), the sealed model from MODEL, the port from PORT.
"""

import os
from typing import Any

import litserve
import numpy as np
from fastapi import HTTPException, Request

import modelkeep as mk

LARGEST_REQUEST = 2**20


class SealedModel(litserve.LitAPI):  # type: ignore[misc]
    """Takes lists of float32 by name, and gives all outputs."""

    def setup(self, device: str) -> None:
        """Opens the model in this worker; it is wiped when the worker ends."""
        self.session = mk.open(
            os.environ["MODEL"], identity=mk.configured_identity(), verifier=mk.configured_verifier()
        )

    def decode_request(self, request: Request) -> dict[str, np.ndarray]:
        """Makes arrays of lists; LitServe hands over what a request's JSON holds."""
        try:
            return {name: np.asarray(value, np.float32) for name, value in request.items()}
        except (AttributeError, TypeError, ValueError):
            raise HTTPException(422, "a request is lists of numbers by name") from None

    def predict(self, x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Computes; what contract or guard refuse is told in their words."""
        try:
            return self.session.run(x)
        except mk.InputError as error:
            raise HTTPException(422, [str(finding) for finding in error.findings]) from None

    def encode_response(self, output: dict[str, np.ndarray]) -> dict[str, Any]:
        """Makes lists of arrays."""
        return {name: value.tolist() for name, value in output.items()}


if __name__ == "__main__":
    server = litserve.LitServer(SealedModel(), accelerator="cpu", max_payload_size=LARGEST_REQUEST)
    server.run(host="127.0.0.1", port=int(os.environ.get("PORT", "8000")), generate_client_file=False)
