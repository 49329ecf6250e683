"""A sealed model as a model of KServe's: each request is checked as a session checks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kserve import InferRequest, Model
from kserve.errors import InferenceError, InvalidInput, ModelNotReady

from modelkeep.errors import ExpiredError, InputError, KeepError, RuntimeCrashedError, UsageError
from modelkeep.integrations.kserve import rows, tensors
from modelkeep.session import Session


class SealedModel(Model):  # type: ignore[misc]
    """What KServe's server asks, by either protocol.

    Attributes:
        session: the open model.
    """

    def __init__(self, name: str, session: Session) -> None:
        super().__init__(name)
        self.session = session
        self.ready = True

    def load(self) -> bool:
        """Says whether the model is open: it was, or nothing could have been asked."""
        return bool(self.ready)

    def stop(self) -> None:
        """Wipes the model; requests that are under way end before."""
        super().stop()
        self.session.close()

    def get_input_types(self) -> list[dict[str, Any]]:
        """Returns what the contract says."""
        return tensors.described(self.session.contract)

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Checks the inputs, computes in a thread, and answers by the protocol that was asked by.

        Raises:
            InvalidInput: contract, guard or runtime refuse the inputs, or they are none.
            ModelNotReady: the grant has ended, or the process of an isolated model.
            InferenceError: the model failed; who asks learns no more than of what kind it is.
        """
        with self._words():
            if isinstance(payload, InferRequest):
                outputs = await self._run(tensors.inputs_of(payload))
                return tensors.answer_of(self.name, payload, outputs)
            inputs = rows.inputs_of(payload, self.session.contract)
            return rows.answer_of(await self._run(inputs))

    async def _run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self.session.run_async(inputs)
        except UsageError as error:
            # A runtime's words name parts of the model, which are the log's alone.
            raise InvalidInput("the model cannot compute with these inputs") from error

    @contextmanager
    def _words(self) -> Iterator[None]:
        """Turns our errors into those that KServe answers with 400, 503 and 500."""
        try:
            yield
        except InputError as error:
            raise InvalidInput(str(error)) from None
        except UsageError as error:
            raise InvalidInput(f"{error}; {error.hint}" if error.hint else str(error)) from None
        except (ExpiredError, RuntimeCrashedError) as error:
            # Neither comes back by itself: whoever asks whether this model is ready should be told.
            self.ready = False
            raise ModelNotReady(self.name, type(error).__name__) from error
        except KeepError as error:
            raise InferenceError(type(error).__name__) from error
