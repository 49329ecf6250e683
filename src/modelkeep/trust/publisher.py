"""A publisher, as a trust file describes it: who it is, and which models, families and times it may sign."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import UsageError
from modelkeep.manifest import Manifest, check_model_id
from modelkeep.signer_id import SignerId
from modelkeep.trust.sigstore_signer import SigstoreSigner

EVERY_FAMILY = "*"
EVERY_MODEL = "*"
_BELOW = "/*"

# Who a publisher is: a key, or an identity that Sigstore vouches for.
Who = ec.EllipticCurvePublicKey | SigstoreSigner


@dataclass(frozen=True, slots=True)
class Publisher:
    """Somebody who may sign bundles.

    Attributes:
        who: a key (P-256, P-384 or P-521), or an identity that Sigstore vouches for.
        models: the models it may sign: ids, ``prefix/*`` for every id that begins with ``prefix/``, or
            ``*`` for every one. The signer writes the family; only these say whose model it is.
        families: the families of models it may sign; ``*`` stands for every one.
        not_before: first second at which its bundles may be sealed, since 1970-01-01 UTC.
        not_after: last second.

    Raises:
        UsageError: no models, or something that is neither a model id nor such a pattern.
    """

    who: Who
    models: tuple[str, ...]
    families: tuple[str, ...] = (EVERY_FAMILY,)
    not_before: int = 0
    not_after: int = LATEST_TIME

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("a publisher signs certain models", hint="name them, or say '*' for every one")
        for pattern in self.models:
            check_pattern(pattern)

    def __str__(self) -> str:
        return f"sha256:{self.fingerprint}" if self.fingerprint else str(self.who)

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the key's PEM form; empty for an identity, whose keys last for minutes."""
        return "" if isinstance(self.who, SigstoreSigner) else public_key.fingerprint(self.who)

    def is_behind(self, signer: SignerId) -> bool:
        """Returns whether a signer is this publisher."""
        if isinstance(self.who, SigstoreSigner):
            return self.who.is_behind(signer)
        return signer.key.hex() == self.fingerprint

    def signs(self, model: str) -> bool:
        """Returns whether `model` is one of this publisher's models; whatever the time."""
        return any(matches(pattern, model) for pattern in self.models)

    def may_sign(self, manifest: Manifest) -> bool:
        """Returns whether model, family and time of sealing are within its limits."""
        return (
            self.signs(manifest.model)
            and bool({manifest.family, EVERY_FAMILY} & set(self.families))
            and self.not_before <= manifest.sealed_at <= self.not_after
        )


def check_pattern(pattern: str) -> str:
    """Returns `pattern` if it is a model id, ``prefix/*``, or ``*``.

    Raises:
        UsageError: it is none of them.
    """
    if pattern != EVERY_MODEL:
        check_model_id(pattern.removesuffix(_BELOW))
    return pattern


def matches(pattern: str, model: str) -> bool:
    """Returns whether a pattern (a model id, ``prefix/*``, or ``*``) names `model`."""
    if pattern == EVERY_MODEL:
        return True
    if pattern.endswith(_BELOW):
        return model.startswith(pattern.removesuffix("*"))
    return model == pattern


def covers(wider: str, pattern: str) -> bool:
    """Returns whether every model that `pattern` names is named by `wider`, too."""
    return wider in (EVERY_MODEL, pattern) or matches(wider, pattern.removesuffix("*"))
