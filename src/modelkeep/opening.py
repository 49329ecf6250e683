"""Opening a sealed model for inference: open -> verify -> unwrap -> decrypt, into a session."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from modelkeep.bundle.access import Access, IdentityLike, unlock
from modelkeep.bundle.unlocked import Unlocked
from modelkeep.in_process_loading import load_in_process
from modelkeep.keys.identity import Identity
from modelkeep.memory import Memory
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.session import Session
from modelkeep.trust.bundle_verifier import BundleVerifier

if TYPE_CHECKING:
    from modelkeep.guard import Guard
    from modelkeep.isolated_loading import Isolation

_HERE = "in-process"


def open_session(
    path: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    grant_file: str | os.PathLike[str] | None = None,
    posture: Iterable[str] = (),
    entry: str | None = None,
    site: str | os.PathLike[str] | None = None,
    runtime: str | None = None,
    progress: Progress = no_progress,
    isolation: Isolation = "in-process",
    **options: Any,
) -> Session:
    """Opens a sealed model for inference; nothing of it reaches a runtime before all checks passed.

    Args:
        path: the bundle, as a file or a folder.
        identity: the key of this device, or its URI.
        verifier: whom to trust, and which model and release to accept.
        grant_file: look for the grant there instead of in the bundle and its sidecar.
        posture: names of what this device was found to be, for grants that demand some.
        entry: which of the model's entries to run, where it has several; its default one otherwise.
        site: what `save_site` wrote on this device: the guard goes by what is usual at this site.
        runtime: name of the adapter, where a format has several.
        progress: told the bytes that are decrypted; called from several threads.
        isolation: ``"process"``, or a `ProcessIsolation` with settings, runs the model in a hardened
            process of its own; by default it runs in this one.
        options: passed on to the runtime's adapter, for example `session_options` for ONNX Runtime.

    Raises:
        KeepError: the subclass says what the caller does next; see `modelkeep.errors`.
    """
    if isolation != _HERE:
        # Imported for those alone who want it: many models are opened in a hurry.
        from modelkeep.isolated_loading import begin

        begin(isolation)
    with Access(identity, verifier, grant_file, posture) as access, unlock(path, access) as bundle:
        return session_of(
            bundle,
            access,
            entry=entry,
            site=site,
            runtime=runtime,
            progress=progress,
            isolation=isolation,
            options=options,
        )


def session_of(
    bundle: Unlocked,
    access: Access,
    *,
    entry: str | None = None,
    site: str | os.PathLike[str] | None = None,
    runtime: str | None = None,
    progress: Progress = no_progress,
    isolation: Isolation = "in-process",
    options: Mapping[str, Any],
) -> Session:
    """Loads what was unlocked; the arguments are those of `open_session`.

    Raises:
        KeepError: the subclass says what the caller does next; see `modelkeep.errors`.
    """
    inner = bundle.inner_manifest()
    chosen = inner.choose(entry)
    # Read before the weights are: a profile that cannot be applied ends the opening.
    guard = None if inner.guard is None else _guard(inner.guard, site, access.identity)
    kept: dict[str, Memory] = {}
    if isolation == _HERE:
        runner, kept, report = load_in_process(bundle, inner, chosen, runtime, progress, options)
    else:
        from modelkeep.isolated_loading import load_isolated

        runner, report = load_isolated(bundle, inner, chosen, isolation, runtime, progress, options)
    return Session(runner, kept, chosen.contract, report, guard, access.verifier.clock)


def _guard(sealed: bytes, site: str | os.PathLike[str] | None, identity: Identity) -> Guard:
    # Imported here, as all of the guard: most models have none.
    from modelkeep.guard import Guard
    from modelkeep.guard.profile_json import parse_profile
    from modelkeep.site_file import load_site

    profile = parse_profile(sealed)
    return Guard(profile, None if site is None else load_site(site, profile=profile, identity=identity))
