"""From parsed arguments to the objects that the library takes."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelkeep.cli.enclosures import contract
from modelkeep.cli.output import say
from modelkeep.errors import UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.manifest import Coverage, LeafAlgorithm, Suite
from modelkeep.named_trust import authorities_in, refuse_subject, roots_in, trust_file_in, trusted
from modelkeep.probes.local import local_findings, posture_names
from modelkeep.storage import named
from modelkeep.trust import private_key
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.roots import Roots
from modelkeep.trust.second_signature import SecondSigner
from modelkeep.trust.signer import BundleSigner
from modelkeep.trust.signers import open_signer
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.unsigned import UnsafeUnsigned
from modelkeep.trust.verifier import Verifier
from modelkeep.uri import DEFAULT_SCHEME, split

if TYPE_CHECKING:
    from modelkeep.isolation import ProcessIsolation

_FROM_NOW = re.compile(r"\+(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SUITES = {"aes": Suite.AES256_GCM_HKDF_1MB, "chacha": Suite.CHACHA20_POLY1305_HKDF_1MB}
_LARGEST_PEM = 2**20
_ANYBODY = "any"


def constraints(arguments: argparse.Namespace) -> Constraints:
    """Returns what new grants demand.

    Raises:
        UsageError: they would have ended already.
    """
    end = optional_moment(arguments.not_after)
    if end is not None and end < time.time():
        raise UsageError(
            f"--not-after {arguments.not_after} has passed", hint="nobody could open with such a grant"
        )
    return Constraints(
        not_before=optional_moment(arguments.not_before),
        not_after=end,
        posture=tuple(arguments.posture),
    )


def posture(arguments: argparse.Namespace) -> frozenset[str]:
    """Returns what this device finds itself to be: enough for grants that ask by name, and no proof."""
    model = Path(arguments.bundle)
    # What arrives from elsewhere lies on no disk of this device.
    return posture_names(local_findings(model=model if model.exists() else None))


def optional_moment(text: str | None) -> int | None:
    """Returns what `moment` does, or None where nothing was said.

    Raises:
        UsageError: not a time.
    """
    return None if text is None else moment(text)


def moment(text: str) -> int:
    """Returns a time such as ``2027-01-31`` or ``+90d`` in seconds since 1970-01-01 UTC.

    Raises:
        UsageError: not a time.
    """
    if match := _FROM_NOW.fullmatch(text):
        return int(time.time()) + int(match[1]) * _SECONDS[match[2]]
    try:
        time_of_day = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"not a time: {text!r}", hint="write 2027-01-31, 2027-01-31T12:00+01:00, or +90d, +12h, +30m, +5s"
        ) from None
    # Times without a zone are UTC, so that a command means the same everywhere.
    zone = time_of_day.tzinfo or datetime.UTC
    return int(time_of_day.replace(tzinfo=zone).timestamp())


def signer(arguments: argparse.Namespace) -> BundleSigner | None:
    """Returns the publisher's key, or None for an unsigned bundle.

    Raises:
        UsageError: neither a key nor --unsafe-unsigned, or both.
    """
    if arguments.signer is None and not arguments.unsafe_unsigned:
        raise UsageError(
            "nobody signs this bundle",
            hint="pass -s KEY, which `modelkeep keys create --kind signing KEY` makes, "
            "or --unsafe-unsigned for a trial",
        )
    if arguments.signer is None:
        return None
    if arguments.unsafe_unsigned:
        raise UsageError("-s and --unsafe-unsigned exclude each other")
    return open_signer(
        arguments.signer,
        passphrase=passphrase(arguments),
        certificates=arguments.certificates,
    )


def key_file(key: str) -> str:
    """Returns the path of a key that is a file, written as ``PATH`` or ``file:PATH``.

    Raises:
        UsageError: the key lives somewhere else.
    """
    scheme, path = split(key)
    if scheme != DEFAULT_SCHEME:
        raise UsageError(
            f"this key has to be a file, not {scheme[:64]!r}", hint="write ./NAME for a file with a colon"
        )
    return path


def grant_signer(arguments: argparse.Namespace) -> BundleSigner | None:
    """Returns the key that signs new grants, or None."""
    return None if arguments.grant_signer is None else open_signer(arguments.grant_signer)


def second_signer(arguments: argparse.Namespace) -> SecondSigner | None:
    """Returns the key that makes second signatures, or None."""
    if arguments.second_signer is None:
        return None
    with private_key.unlocking(key_file(arguments.second_signer)) as (path, secret):
        return SecondSigner.from_pem(path, passphrase=secret)


def passphrase(arguments: argparse.Namespace) -> bytes | None:
    """Returns the passphrase of the signer's key, from the environment.

    Raises:
        UsageError: the variable is not set.
    """
    if arguments.passphrase_env is None:
        return None
    value = os.environb.get(os.fsencode(arguments.passphrase_env))
    if not value:
        raise UsageError(f"environment variable {arguments.passphrase_env} is not set")
    return value


def verifier(arguments: argparse.Namespace) -> BundleVerifier:
    """Returns whom and what to accept.

    Raises:
        UsageError: nobody is trusted and --unsafe-unsigned is not given.
        StorageError: a key cannot be read.
    """
    _check_threshold(arguments)
    if not arguments.trust:
        if not arguments.unsafe_unsigned:
            raise UsageError(
                "nobody is trusted", hint="pass -t publisher.pub, or --unsafe-unsigned for a trial"
            )
        if arguments.second_trust is not None:
            raise UsageError("a second signature counts beside the first one only", hint="pass -t as well")
        refuse_subject(arguments.subject, "nobody is trusted")
        if arguments.minimum_trust_number or arguments.trust_root:
            raise UsageError("--trust-root and --minimum-trust-number go with a trust file", hint="pass -t")
        if arguments.minimum_epoch or arguments.maximum_age is not None:
            raise UsageError("nobody vouches for the epoch and age of a bundle that nobody signed")
        if arguments.require_installed:
            raise UsageError("what nobody signed is never installed", hint="pass -t as well")
        return UnsafeUnsigned(arguments.model_id)
    if arguments.unsafe_unsigned:
        raise UsageError("-t and --unsafe-unsigned exclude each other")
    if arguments.trust_root:
        return verifier_by(arguments, trust_file_in(arguments.trust))
    if arguments.minimum_trust_number:
        raise UsageError("trust files have numbers, keys have none", hint="pass --trust-root as well")
    return Verifier(*trusted(arguments.trust, arguments.subject), **_rules(arguments))


def verifier_by(arguments: argparse.Namespace, data: bytes) -> Verifier:
    """Returns whom to accept by the bytes of a trust file; raises what `verifier` does."""
    refuse_subject(arguments.subject, "a trust file says it itself")
    roots = trust_roots(arguments)
    with named(arguments.trust[0]):
        trust = TrustFile.from_bytes(data, roots, minimum=arguments.minimum_trust_number)
    return Verifier.from_trust_file(trust, **_rules(arguments))


def _rules(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "model": arguments.model_id or UnsafeAnyModel(),
        "minimum_epoch": arguments.minimum_epoch,
        "maximum_age": _age(arguments.maximum_age),
        "second": arguments.second_trust,
        "require_installed": arguments.require_installed,
        "time_authorities": authorities_in(arguments.time_authority),
    }


def demand_model(arguments: argparse.Namespace) -> None:
    """Refuses to take whichever model comes, unless that was asked for.

    Raises:
        UsageError: neither a model id nor --any-model, or both.
    """
    if arguments.any_model == (arguments.model_id is not None):
        raise UsageError(
            "which model is it to be?",
            hint="pass --model-id acme/detector, or --any-model to take what comes",
        )


def known_roots(arguments: argparse.Namespace) -> Roots | None:
    """Returns who signs trust files, or None where nobody said so; raises as `trust_roots` does."""
    _check_threshold(arguments)
    return trust_roots(arguments) if arguments.trust_root else None


def trust_roots(arguments: argparse.Namespace) -> Roots:
    """Returns who signs trust files: the keys that are named, or the roots document.

    Raises:
        UsageError: no keys, a threshold that cannot be reached, or a document beside something else.
        StorageError: a file cannot be read.
        SignatureError, MalformedError: the document does not hold.
    """
    return roots_in(arguments.trust_root, arguments.trust_threshold)


def _check_threshold(arguments: argparse.Namespace) -> None:
    if arguments.trust_threshold != 1 and not arguments.trust_root:
        raise UsageError(
            "--trust-threshold says how many roots sign, and there are none", hint="pass --trust-root as well"
        )


def _age(days: float | None) -> datetime.timedelta | None:
    try:
        return None if days is None else datetime.timedelta(days=days)
    except (ValueError, OverflowError):
        raise UsageError(f"not a number of days: {days}") from None


def isolation(arguments: argparse.Namespace) -> Literal["in-process"] | ProcessIsolation:
    """Returns which process the model is to run in."""
    from modelkeep.isolation import ProcessIsolation

    # Nothing to copy a process from is left for a second model: a command opens one.
    return ProcessIsolation(fresh=True) if arguments.isolated else "in-process"


def say_which_model(arguments: argparse.Namespace, model: str) -> None:
    """Tells which model was accepted when the caller did not ask for a certain one."""
    if arguments.model_id is None:
        say(f"accepted model {model} (pass --model-id {model} to accept no other)")


def sealing_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the options that `seal` and `import` share."""
    return {
        "to": arguments.recipient,
        "admins": arguments.admin,
        "signer": signer(arguments),
        "unsafe_unsigned": arguments.unsafe_unsigned,
        "epoch": arguments.epoch,
        "family": arguments.family,
        "release": arguments.release,
        "contract": contract(arguments.contract),
        "constraints": constraints(arguments),
        "suite": _SUITES[arguments.suite or "aes"],
        "leaf": LeafAlgorithm(arguments.leaf),
        "digest": Coverage(arguments.digest),
        "grant_signer": grant_signer(arguments),
        "second_signer": second_signer(arguments),
        "timestamp": arguments.timestamp,
        "leased": arguments.leased,
    }


def size_of(bundle: str) -> int:
    """Returns about how many bytes there are to open, for progress; 0 where nobody knows."""
    path = Path(bundle)
    return path.stat().st_size if path.is_file() else 0


def model_id(arguments: argparse.Namespace, source: str) -> str:
    """Returns the model id asked for, or one made of the file's name."""
    if arguments.model_id is not None:
        return str(arguments.model_id)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).resolve().stem).strip("-._") or "model"
