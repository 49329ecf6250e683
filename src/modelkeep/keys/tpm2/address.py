"""What a ``tpm2:`` URI says after its scheme: ``PATH?option=value&...``, PATH being the key file.

Options for every use: ``tcti`` (how the TPM is reached), ``auth-env`` or ``auth-file`` (where the
key's passphrase is). For creation besides: ``pcrs`` (``7``, ``7,11`` or ``none``), ``authority``
(PEM file of the P-256 key that approves PCR values), ``handle`` (where the key becomes persistent).
"""

from __future__ import annotations

from dataclasses import dataclass

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.key_address import Address, parse_address
from modelkeep.keys.point import public_from_pem
from modelkeep.keys.tpm2.device import choose_tcti
from modelkeep.keys.tpm2.key_file import KeyFile
from modelkeep.keys.tpm2.policy import DEFAULT_PCRS, Policy
from modelkeep.memory import Pages
from modelkeep.passphrase_source import choose

_OPTIONS = frozenset({"tcti", "auth-env", "auth-file", "pcrs", "authority", "handle"})


@dataclass(frozen=True, slots=True)
class TpmAddress:
    """A parsed address.

    Attributes:
        path: the key file.
        tcti: how the TPM is reached.
    """

    path: str
    tcti: str
    _parsed: Address

    @staticmethod
    def parse(text: str) -> TpmAddress:
        """Returns the parsed address.

        Raises:
            UsageError: not of this form.
        """
        parsed = parse_address(text, _OPTIONS)
        return TpmAddress(parsed.path, choose_tcti(parsed.options.get("tcti")), parsed)

    def read(self, use: str) -> KeyFile:
        """Returns the key file.

        Raises:
            StorageError: cannot be read.
            MalformedError: not a key file.
            UsageError: the key has another use.
        """
        key_file = KeyFile.read(self.path)
        if key_file.use != use:
            raise UsageError(f"{self.path}: this key's use is {key_file.use!r}, not {use!r}")
        return key_file

    def passphrase(self) -> Pages | None:
        """Returns the passphrase that the options lead to, or None; the caller owns it.

        Raises:
            UsageError: both options are given.
            KeyStoreError: there is no usable passphrase at that place.
        """
        return choose(self._parsed.options, env="auth-env", file="auth-file")

    def passphrase_for(self, policy: Policy) -> Pages | None:
        """Returns the passphrase that `policy` asks for, or None.

        Raises:
            KeyStoreError: it asks for one, and the options do not say where, or the other way round.
        """
        passphrase = self.passphrase()
        if policy.auth and passphrase is None:
            raise KeyStoreError(
                "the key needs a passphrase", hint="use tpm2:PATH?auth-file=PATH or ?auth-env=NAME"
            )
        if passphrase is not None and not policy.auth:
            # Somebody may have put a key of their own in the place of the device's.
            passphrase.close()
            raise KeyStoreError(
                "the key has no passphrase, and one was given",
                hint="leave the option out if this is the key that was made here without one",
            )
        return passphrase

    def policy(self, *, auth: bool) -> Policy:
        """Returns the policy that a key to be created gets.

        Raises:
            UsageError: an option is not of its form.
            StorageError: the authority's key cannot be read.
        """
        authority = self._parsed.options.get("authority")
        return Policy(self._pcrs(), public_from_pem(authority) if authority else None, auth)

    def handle(self) -> int:
        """Returns where a key to be created becomes persistent, or 0.

        Raises:
            UsageError: not a hexadecimal number.
        """
        try:
            return int(self._parsed.options.get("handle", "0"), 16)
        except ValueError:
            raise UsageError(
                "key address: a handle is a hexadecimal number", hint="write handle=0x81000017"
            ) from None

    def _pcrs(self) -> tuple[int, ...]:
        text = self._parsed.options.get("pcrs")
        if text is None:
            return DEFAULT_PCRS
        parts = [] if text == "none" else text.split(",")
        if not all(part.isdecimal() and len(part) <= 2 for part in parts):
            raise UsageError(
                "key address: PCRs are numbers from 0 to 23", hint="write pcrs=7, pcrs=7,11 or pcrs=none"
            )
        return tuple(sorted({int(part) for part in parts}))
