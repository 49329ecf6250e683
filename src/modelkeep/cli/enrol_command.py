"""`modelkeep enrol`: the request with which a device asks to be granted models."""

from __future__ import annotations

import argparse

from modelkeep.cli.output import report, say
from modelkeep.granter.enrolment import enrol
from modelkeep.granter.question import LARGEST_QUESTION, Question
from modelkeep.granter.request import Request
from modelkeep.grants.recipient_text import format_recipient, short_name
from modelkeep.storage import read_as, write_file


def run(arguments: argparse.Namespace) -> None:
    """Writes the request and says what it is worth."""
    question = None
    if arguments.question is not None:
        question = read_as(arguments.question, LARGEST_QUESTION, "a question", Question.from_bytes)
    request = enrol(
        arguments.key,
        arguments.model,
        device_id=arguments.device_id or "",
        question=question,
        replaces=arguments.replaces,
        origin=arguments.origin,
    )
    write_file(arguments.output, request.to_bytes(), force=arguments.force)
    say(f"request of {short_name(request.recipient)} for {', '.join(request.models)}: {_worth(request)}")
    say(f"written: {arguments.output}")
    report(
        arguments,
        path=arguments.output,
        key=arguments.key,
        public=format_recipient(request.recipient),
        models=list(request.models),
        evidence=_kind(request),
    )


def _worth(request: Request) -> str:
    return {
        "claimed": "nothing but its word; a roster has to vouch for it",
        "introduction": "it says which TPM it has; the granter asks a question to it",
        "answer": "it answers a question",
    }[_kind(request)]


def _kind(request: Request) -> str:
    if request.is_answer:
        return "answer"
    return "claimed" if request.evidence is None else "introduction"
