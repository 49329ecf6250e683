"""Policies: what a verifier asks of a release after the signature, as small composable rules."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Protocol

from modelkeep.errors import ExpiredError, RefusedError, RollbackError, UsageError, WrongModelError
from modelkeep.manifest import check_model_id
from modelkeep.trust.release import Release


class Policy(Protocol):
    """A rule over signed releases; any function of this form is one."""

    def __call__(self, release: Release, /) -> None:
        """Returns when `release` is acceptable.

        Raises:
            RefusedError: it is not.
        """


@dataclass(frozen=True, slots=True)
class ExpectModel:
    """Accepts one model id."""

    model: str

    def __post_init__(self) -> None:
        check_model_id(self.model)

    def __call__(self, release: Release, /) -> None:
        """Raises WrongModelError for every other model."""
        if release.manifest.model != self.model:
            raise WrongModelError(
                f"this is model {release.manifest.model!r}, not {self.model!r}",
                hint="open the bundle of the model that is meant, or ask for this one",
            )


@dataclass(frozen=True, slots=True)
class UnsafeAnyModel:
    """Accepts every model of a trusted signer: one model can then be passed off as another."""

    def __call__(self, _release: Release, /) -> None:
        """Accepts."""


def expecting(model: str | UnsafeAnyModel) -> Policy:
    """Returns the policy that accepts a model, or every one where the caller says so.

    Raises:
        UsageError: not a model id.
    """
    return model if isinstance(model, UnsafeAnyModel) else ExpectModel(model)


@dataclass(frozen=True, slots=True)
class MinimumEpoch:
    """Accepts releases whose epoch is `epoch` or higher."""

    epoch: int

    def __call__(self, release: Release, /) -> None:
        """Raises RollbackError for older releases."""
        if release.manifest.epoch < self.epoch:
            raise RollbackError(
                f"epoch {release.manifest.epoch} is below {self.epoch}, the lowest one accepted",
                hint="get a newer release of the model",
            )


@dataclass(frozen=True, slots=True)
class MaximumAge:
    """Accepts releases sealed at most `age` ago."""

    age: datetime.timedelta

    def __post_init__(self) -> None:
        if self.age <= datetime.timedelta(0):
            raise UsageError("the maximum age must be longer than nothing")

    def __call__(self, release: Release, /) -> None:
        """Raises ExpiredError for older releases."""
        age = release.now - release.manifest.sealed_at
        if age > self.age.total_seconds():
            raise ExpiredError(
                f"sealed {age} seconds ago, more than the accepted {self.age.total_seconds():.0f}",
                hint="get a newer release of the model",
            )


class AllOf:
    """Accepts what every one of its policies accepts."""

    def __init__(self, *policies: Policy) -> None:
        self._policies = _some(policies)

    def __call__(self, release: Release, /) -> None:
        """Raises the first refusal."""
        for policy in self._policies:
            policy(release)


class AnyOf:
    """Accepts what at least one of its policies accepts."""

    def __init__(self, *policies: Policy) -> None:
        self._policies = _some(policies)

    def __call__(self, release: Release, /) -> None:
        """Raises RefusedError with every reason when none accepts."""
        reasons = []
        for policy in self._policies:
            try:
                return policy(release)
            except RefusedError as refusal:
                reasons.append(str(refusal))
        raise RefusedError("no alternative accepts this release: " + "; ".join(reasons))


def _some(policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
    if not policies:
        raise UsageError("a combination of policies needs at least one")
    return policies
