"""Data sealed to a TPM: it gives the data back to whoever meets the policy of a key, and to nobody else.

Source: TPM 2.0 Library, Part 1, "Data Object", and Part 3, TPM2_Unseal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tpm2_pytss import TPM2_SE, TPM2B_PRIVATE, TPM2B_PUBLIC

from modelkeep.device.local_key import not_ours
from modelkeep.errors import KeyStoreError
from modelkeep.keys.tpm2.creation import sensitive
from modelkeep.keys.tpm2.device import Handle, Tpm
from modelkeep.keys.tpm2.key import public_area_of
from modelkeep.keys.tpm2.key_file import KeyFile
from modelkeep.keys.tpm2.session import parent_key, start_session, under_policy
from modelkeep.keys.tpm2.templates import sealed_template
from modelkeep.memory import Pages, wipe

SECRET_BYTES = 32

_LONGEST_PART = 512
# What a template ends with, its `unique` field being empty, and what the TPM puts there.
_EMPTY_UNIQUE, _UNIQUE_BYTES = 2, 2 + 32


@dataclass(frozen=True, slots=True)
class SealedObject:
    """A sealed object as its TPM gives it out; the private part is encrypted by the TPM for itself.

    Attributes:
        public: marshalled TPM2B_PUBLIC.
        private: marshalled TPM2B_PRIVATE.
    """

    public: bytes
    private: bytes

    def to_bytes(self) -> bytes:
        """Returns both parts, one after the other; each begins with its length."""
        return self.public + self.private

    @staticmethod
    def from_bytes(data: bytes) -> SealedObject:
        """Returns the object that `to_bytes` made.

        Raises:
            TamperedError: `data` is not of this form.
        """
        public, rest = _part(data)
        private, rest = _part(rest)
        if rest:
            raise not_ours()
        return SealedObject(public, private)


def seal(tpm: Tpm, key_file: KeyFile, auth: Pages | None, secret: memoryview) -> SealedObject:
    """Returns `secret` (32 bytes) sealed under the parent and the policy of a key.

    Raises:
        KeyStoreError: the key is of another TPM, or the TPM refuses.
    """
    template, content = _template(key_file), sensitive(auth)
    content.sensitive.data = bytes(SECRET_BYTES)
    content.sensitive.data.buffer[:] = secret
    try:
        with parent_key(tpm, key_file.parent, key_file.parent_name) as parent:
            session = tpm.flush_later(start_session(tpm, parent, TPM2_SE.HMAC))
            answer = tpm.esapi.create(parent, content, template, session1=session)
    finally:
        wipe(content.sensitive.data.buffer)
    private, public = answer[0], answer[1]
    sealed = SealedObject(public.marshal(), private.marshal())
    if not _is_ours(sealed, template):
        raise KeyStoreError("the TPM sealed under another policy than it was asked for")
    return sealed


def unseal(tpm: Tpm, key_file: KeyFile, auth: Pages | None, sealed: SealedObject) -> Pages:
    """Returns the sealed secret (32 bytes), which the caller owns.

    Raises:
        TamperedError: sealed under another policy, or as something that could leave its TPM.
        KeyStoreError: sealed by another TPM, the TPM cannot be reached, or the policy is not met.
    """
    if not _is_ours(sealed, _template(key_file)):
        raise not_ours()
    with under_policy(tpm, key_file, auth, lambda parent: _load(tpm, parent, sealed)) as (data, session):
        unsealed = tpm.esapi.unseal(data, session1=session)
        content = unsealed.buffer
        try:
            if len(content) != SECRET_BYTES:
                raise not_ours()
            secret = Pages.allocate(SECRET_BYTES)
            secret.view[:] = content
            return secret
        finally:
            # The library frees it as it is.
            wipe(content)


def _load(tpm: Tpm, parent: Handle, sealed: SealedObject) -> Handle:
    public, _ = TPM2B_PUBLIC.unmarshal(sealed.public)
    private, _ = TPM2B_PRIVATE.unmarshal(sealed.private)
    return tpm.flush_later(tpm.esapi.load(parent, private, public))


def _template(key_file: KeyFile) -> Any:
    area = public_area_of(key_file)
    return sealed_template(bytes(area.authPolicy), auth=key_file.policy.auth)


def _is_ours(sealed: SealedObject, template: Any) -> bool:
    """Says whether the public part is the template's, byte for byte: what differs could leave the TPM.

    A TPM loads no private part under a public one that is not its own.
    """
    wanted: bytes = template.marshal()
    area = slice(2, -_EMPTY_UNIQUE), slice(2, -_UNIQUE_BYTES)
    return sealed.public[area[1]] == wanted[area[0]]


def _part(data: bytes) -> tuple[bytes, bytes]:
    """Returns what the length at the beginning spans, with it, and the rest."""
    end = 2 + int.from_bytes(data[:2], "big")
    if not 2 < end <= min(len(data), _LONGEST_PART):
        raise not_ours()
    return data[:end], data[end:]
