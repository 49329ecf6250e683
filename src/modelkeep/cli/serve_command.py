"""`modelkeep serve`: answer a tool of somebody else's with a sealed model."""

from __future__ import annotations

import argparse

from modelkeep.cli import objects as options
from modelkeep.cli.output import flush_output, report, say
from modelkeep.integrations.frigate.endpoint import default_address, endpoint_of
from modelkeep.integrations.frigate.server import FrigateServer
from modelkeep.updates.watch import Watched, watch


def run(arguments: argparse.Namespace) -> None:
    """Opens the model, and answers until it is interrupted."""
    options.demand_model(arguments)
    address = arguments.endpoint or default_address()
    endpoint = endpoint_of(address, unsafe_network=arguments.unsafe_network)
    with _opened(arguments) as model, FrigateServer(model, endpoint) as server:
        say(f"{model.report.model} epoch {model.report.epoch} answers at {endpoint.address}; Ctrl-C ends it")
        for note in model.report.notes:
            say(f"note: {note}")
        facts = {"model": model.report.model, "epoch": model.report.epoch, "bundle": model.report.bundle}
        report(arguments, source=arguments.bundle, endpoint=endpoint.address, **facts)
        flush_output()  # whoever reads it waits for it
        server.serve()


def _opened(arguments: argparse.Namespace) -> Watched:
    return watch(
        arguments.bundle,
        identity=arguments.key,
        verifier=options.verifier(arguments),
        posture=options.posture(arguments),
        entry=arguments.entry,
        runtime=arguments.runtime,
        isolation=options.isolation(arguments),
    )
