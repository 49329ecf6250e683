"""Issuing grants of one bundle, one after the other, for single devices as for whole fleets."""

from __future__ import annotations

from modelkeep import public_key
from modelkeep.dsse import EcdsaSigner
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.grant import Grant, encode_unsigned
from modelkeep.grants.header import GrantHeader, HeaderForm, binding, key_id
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.grants.recipient import Recipient, grant_context, issue
from modelkeep.grants.secret import pack


class GrantIssuer:
    """Makes grants of one bundle within one set of terms.

    Args:
        bundle: the 16 bytes of the bundle's id.
        data_key: the bundle's data key; stays its owner's.
        terms: what every grant demands, and whether it may allow delegation.
        signer: signs the grants, or None.
    """

    def __init__(
        self, bundle: bytes, data_key: DataKey, terms: Constraints, signer: EcdsaSigner | None = None
    ) -> None:
        self.bundle = bundle
        self.data_key = data_key
        self.terms = terms
        self.signer = signer
        self._last: tuple[Constraints, Constraints] | None = None
        self._forms: dict[str, HeaderForm] = {}
        # The fingerprint of the signer's key (32 bytes), as its grants carry it; None without a signer.
        self.fingerprint = (
            None if signer is None else bytes.fromhex(public_key.fingerprint(signer.public_key))
        )

    def header(self, recipient: Recipient, demanded: Constraints) -> GrantHeader:
        """Returns the header of the grant that `issue` would make."""
        return recipient.header(self.bundle, self.terms.narrow(demanded))

    def issue(self, recipient: Recipient, demanded: Constraints) -> Grant:
        """Returns a grant that demands what the terms and `demanded` do, and allows what both allow.

        Raises:
            UsageError: the recipient's key or device id cannot be used, or the grant would never count.
        """
        grant = issue(recipient, self.bundle, self.data_key, self._narrowed(demanded))
        return grant if self.signer is None else grant.signed_by(self.signer, self.fingerprint)

    def encoded(self, recipient: HpkeRecipient, demanded: Constraints, secret: bytearray) -> bytes:
        """Returns an unsigned grant like that of `issue`, encoded; costs little beside the wrapping.

        Args:
            recipient: a device.
            demanded: what its grant demands and allows, within the terms.
            secret: a buffer of 104 bytes to work in; wiping it is the caller's.

        Raises:
            UsageError: the recipient's key cannot be used, or the grant would never count.
        """
        form = self._form(recipient.type, self._narrowed(demanded))
        header = form.to_bytes(key_id(self.bundle, recipient.type, recipient.public))
        pack(secret, self.data_key, recipient.device_id)
        return encode_unsigned(header, recipient.wrap(secret, grant_context(binding(header))))

    def _form(self, kind: str, narrowed: Constraints) -> HeaderForm:
        form = self._forms.get(kind)
        if form is None:
            form = self._forms[kind] = HeaderForm(self.bundle, kind, narrowed)
        return form

    def _narrowed(self, demanded: Constraints) -> Constraints:
        # Of the grants that are made within a second, most demand the same.
        if self._last is None or self._last[0] != demanded:
            narrowed = self.terms.narrow(demanded)
            narrowed.check_window()
            self._last = demanded, narrowed
            self._forms.clear()
        return self._last[1]
