"""`modelkeep repo status`: what is in a repository."""

from __future__ import annotations

import argparse
from typing import Any

from modelkeep.cli.output import print_json, show, time_of
from modelkeep.cli.repo_command import release_facts
from modelkeep.errors import TamperedError
from modelkeep.updates.repository.overview import Overview, ReleaseFacts, RoleFacts, overview
from modelkeep.updates.repository.repository import Repository


def run(arguments: argparse.Namespace) -> None:
    """Verifies the repository and says what is in it."""
    found = overview(Repository(arguments.folder), every_byte=arguments.every_byte)
    if arguments.json:
        print_json(_facts(arguments.folder, found))
    else:
        for line in _lines(found):
            show(line)
    broken = [each for each in found.releases if each.problem is not None]
    if broken:
        raise TamperedError(f"{len(broken)} of {len(found.releases)} bundles are not what was published")


def _lines(found: Overview) -> list[str]:
    lines = [_role(each) for each in found.roles]
    lines.append(f"trust file {found.trust.number}, until {time_of(found.trust.expires)}")
    lines += [_release(each) for each in found.releases]
    return lines + [f"bundle {name} is not listed any more" for name in found.unlisted]


def _role(role: RoleFacts) -> str:
    due = ", due to be renewed" if role.is_due else ""
    signed = f"{role.threshold} of {len(role.keys)} sign"
    return f"{role.name} {role.version}, until {time_of(role.expires)}{due}; {signed}"


def _release(release: ReleaseFacts) -> str:
    document, offer = release.document, release.offer
    state = "not on offer" if offer is None else f"{offer.share / 10:g} % of devices"
    state += ", paused" if offer is not None and offer.paused else ""
    state = "withdrawn" if document.withdrawn else state
    problem = "" if release.problem is None else f"; {release.problem}"
    return f"{document.model}  {document.order}  bundle {document.bundle.hex()}  {state}{problem}"


def _facts(folder: str, found: Overview) -> dict[str, Any]:
    return {
        "path": folder,
        "roles": [_role_facts(each) for each in found.roles],
        "trust": {"number": found.trust.number, "expires": found.trust.expires},
        "releases": [_release_facts(each) for each in found.releases],
        "unlisted": list(found.unlisted),
    }


def _role_facts(role: RoleFacts) -> dict[str, Any]:
    return {
        "name": role.name,
        "version": role.version,
        "expires": role.expires,
        "due": role.is_due,
        "threshold": role.threshold,
        "keys": list(role.keys),
    }


def _release_facts(release: ReleaseFacts) -> dict[str, Any]:
    offer = release.offer
    return release_facts(release.document) | {
        "withdrawn": release.document.withdrawn,
        "share": None if offer is None else offer.share,
        "paused": offer is not None and offer.paused,
        "problem": release.problem,
    }
