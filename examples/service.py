"""A web service with a sealed model: `gunicorn --preload -k uvicorn_worker.UvicornWorker service:app`.

Preloading shares the imports between the workers, not the model: memory with weights is not passed on
to forked processes, so each worker opens the model when it starts. When another release counts, each worker
lets it take over; requests that are under way end on the old one. Settings come from the environment:
MODEL (a folder of slots, an installation or a bundle), IDENTITY (for example file:device.pem), PUBLISHER
(a public key file) and MODEL_ID.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

import modelkeep as mk


@asynccontextmanager
async def opened(service: FastAPI) -> AsyncIterator[None]:
    """Opens the model in this worker, and wipes it when the worker ends."""
    verifier = mk.Verifier(os.environ["PUBLISHER"], model=os.environ["MODEL_ID"])
    with mk.watch(os.environ["MODEL"], identity=os.environ["IDENTITY"], verifier=verifier) as model:
        service.state.model = model
        yield


app = FastAPI(lifespan=opened)


@app.post("/run")
async def run(inputs: dict[str, list[Any]], request: Request) -> dict[str, Any]:
    """Computes all outputs; inputs are lists of float32 by name."""
    arrays = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
    outputs = await request.app.state.model.run_async(arrays)
    return {"worker": os.getpid(), "outputs": {name: value.tolist() for name, value in outputs.items()}}


@app.exception_handler(mk.InputError)
async def refuse(_request: Request, error: mk.InputError) -> JSONResponse:
    """Tells the client what was wrong with its input, in the words of the findings."""
    return JSONResponse({"findings": [str(finding) for finding in error.findings]}, status_code=422)
