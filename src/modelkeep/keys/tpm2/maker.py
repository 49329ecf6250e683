"""Who made a TPM, as it says itself, and what that tells of its protection.

A TPM's word for it proves nothing: its endorsement certificate would, and is not looked at here.
Source: TPM 2.0 part 2, TPM_PT (fixed); TCG Vendor ID Registry.
"""

from __future__ import annotations

from dataclasses import dataclass

from tpm2_pytss import TPM2_CAP

from modelkeep.keys.management import Protection
from modelkeep.keys.tpm2.device import Tpm

_MANUFACTURER, _VENDOR_STRINGS = 0x105, range(0x106, 0x10A)

_CHIP = "a chip of its own"
_FIRMWARE = "firmware of the processor"
# What makers are known for; most make nothing else, none is bound to.
_KINDS: dict[str, tuple[Protection, str]] = {
    "ATML": (Protection.TPM, _CHIP),
    "IFX": (Protection.TPM, _CHIP),
    "NTC": (Protection.TPM, _CHIP),
    "NTZ": (Protection.TPM, _CHIP),
    "SNS": (Protection.TPM, _CHIP),
    "STM": (Protection.TPM, _CHIP),
    "WEC": (Protection.TPM, _CHIP),
    "AMD": (Protection.TPM, _FIRMWARE),
    "INTC": (Protection.TPM, _FIRMWARE),
    "QCOM": (Protection.TPM, _FIRMWARE),
    # libtpms, which swtpm and virtual machines use.
    "IBM": (Protection.SOFTWARE_TPM, "software, on this machine or on the host of a virtual one"),
    # Hyper-V's, and the reference code, which some boards run in their TEE.
    "MSFT": (Protection.SOFTWARE_TPM, "software or firmware; it does not say which"),
}
_UNKNOWN = (Protection.TPM, "whether that is a chip, firmware or software is not known here")


@dataclass(frozen=True, slots=True)
class Maker:
    """What a TPM says of itself.

    Attributes:
        manufacturer: its manufacturer's id, for example ``IFX``.
        vendor: its vendor string, for example ``SLB9670``; may be empty.
    """

    manufacturer: str
    vendor: str

    @staticmethod
    def of(tpm: Tpm) -> Maker:
        """Returns what the TPM says.

        Raises:
            KeyStoreError: it cannot be asked.
        """
        count = 1 + len(_VENDOR_STRINGS)
        answer = tpm.esapi.get_capability(TPM2_CAP.TPM_PROPERTIES, _MANUFACTURER, count)
        capability = answer[1]
        found = {int(each.property): int(each.value) for each in capability.data.tpmProperties}
        vendor = "".join(_text(found.get(index, 0)) for index in _VENDOR_STRINGS)
        return Maker(_text(found.get(_MANUFACTURER, 0)).strip(), " ".join(vendor.split()))

    @property
    def protection(self) -> Protection:
        """What it protects keys with."""
        return _KINDS.get(self.manufacturer, _UNKNOWN)[0]

    def __str__(self) -> str:
        vendor = f" ({self.vendor})" if self.vendor else ""
        kind = _KINDS.get(self.manufacturer, _UNKNOWN)[1]
        return f"manufacturer {self.manufacturer or 'without a name'}{vendor}: {kind}"


def _text(value: int) -> str:
    # Four characters in one number; zeros fill up.
    return value.to_bytes(4, "big").rstrip(b"\0").decode("ascii", "backslashreplace")
