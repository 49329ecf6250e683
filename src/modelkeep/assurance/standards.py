"""What standards ask of sealed models and their devices, in our words, and which facts bear on it.

Numbers are those of OWASP AISVS 1.0 (C4.3), OWASP MASVS 2.1.0, ETSI EN 303 645 V2.1.1 (V3.1.3 splits 5.13-1
and keeps the others), and Annex I of Regulation (EU) 2024/2847. A requirement that `beyond` names something
of is never shown in full: no look at one model can see that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

AISVS = "OWASP AISVS 1.0"
MASVS = "OWASP MASVS 2.1.0"
EN_303_645 = "ETSI EN 303 645 V2.1.1"
CRA = "CRA (EU) 2024/2847, Annex I"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that a standard asks.

    Attributes:
        standard: which standard.
        number: its number there.
        about: what it is about, in our words.
        facts: names of the facts that would show it, or as much of it as can be seen here.
        beyond: what of it cannot be seen here, or empty.
    """

    standard: str
    number: str
    about: str
    facts: tuple[str, ...] = ()
    beyond: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the requirement as an object of JSON."""
        return {"standard": self.standard, "number": self.number, "about": self.about}


_SIGNED = ("signature", "digests")
_SECRET = ("encrypted", "device-key")
_FORWARD = (*_SIGNED, "floor")
_APP = "the program around the model"
_MAKER = "what its maker does"

REQUIREMENTS = (
    Requirement(
        AISVS, "4.3.1", "devices prove who they are", ("device-key",), "how devices log in to servers"
    ),
    Requirement(
        AISVS,
        "4.3.2",
        "models are signed, and verified on the device before they load",
        (*_SIGNED, "device-key"),
    ),
    Requirement(
        AISVS, "4.3.3", "inference is kept apart from other programs", ("isolation", "ptrace-limited")
    ),
    Requirement(AISVS, "4.3.4", "keys of models are kept by hardware", ("key-hardware",)),
    Requirement(
        AISVS,
        "4.3.5",
        "models are encrypted where they lie, and decrypted only where they run",
        (*_SECRET, "key-hardware", "isolation"),
    ),
    Requirement(MASVS, "MASVS-STORAGE-1", "what is sensitive is stored securely", _SECRET, _APP),
    Requirement(
        MASVS, "MASVS-STORAGE-2", "what is sensitive does not leak", ("no-swap", "no-core-dumps"), _APP
    ),
    Requirement(MASVS, "MASVS-CRYPTO-1", "strong cryptography, used as intended", ("algorithms",), _APP),
    Requirement(MASVS, "MASVS-CRYPTO-2", "keys are managed well", ("key-hardware", "grant-ends"), _APP),
    Requirement(MASVS, "MASVS-CODE-1", "runs on a current platform", (), "versions of the platform"),
    Requirement(MASVS, "MASVS-CODE-2", "programs can be made to update", ("floor",), f"updates of {_APP}"),
    Requirement(
        MASVS, "MASVS-CODE-3", "no parts with known holes", (), "known holes of the parts; see the SBOM"
    ),
    Requirement(
        MASVS, "MASVS-CODE-4", "untrusted inputs are checked", ("contract", "guard"), f"inputs of {_APP}"
    ),
    Requirement(MASVS, "MASVS-RESILIENCE-1", "the platform is whole", ("secure-boot", "measured-boot")),
    Requirement(MASVS, "MASVS-RESILIENCE-2", "what was changed is not run", _SIGNED, f"changes of {_APP}"),
    Requirement(MASVS, "MASVS-RESILIENCE-3", "hard to take apart at rest", _SECRET, _APP),
    Requirement(
        MASVS, "MASVS-RESILIENCE-4", "hard to take apart while it runs", ("isolation", "ptrace-limited"), _APP
    ),
    Requirement(
        EN_303_645, "5.3-2", "updates are installed securely", _FORWARD, "updates of the device itself"
    ),
    Requirement(
        EN_303_645,
        "5.3-7",
        "updates use best-practice cryptography",
        ("algorithms", *_SIGNED),
        "updates of the device itself",
    ),
    Requirement(EN_303_645, "5.3-9", "the device verifies updates", _SIGNED, "updates of the device itself"),
    Requirement(
        EN_303_645,
        "5.3-10",
        "updates from a network are verified by a relation of trust",
        (*_SIGNED, "trust-file"),
        "updates of the device itself",
    ),
    Requirement(EN_303_645, "5.3-13", "the support period is published", (), _MAKER),
    Requirement(
        EN_303_645, "5.4-1", "secrets and keys are stored securely", ("key-hardware",), "other secrets"
    ),
    Requirement(EN_303_645, "5.4-3", "no secrets in source code", (), f"secrets of {_APP}"),
    Requirement(
        EN_303_645,
        "5.4-4",
        "secrets that updates and links to services rest on differ from device to device",
        ("device-key",),
        "other keys",
    ),
    Requirement(EN_303_645, "5.6-7", "no more privileges than needed", ("isolation",), _APP),
    Requirement(EN_303_645, "5.7-1", "software is verified from boot on", ("secure-boot", "root-verity")),
    Requirement(
        EN_303_645, "5.7-2", "unauthorised changes are noticed, and somebody told", _SIGNED, "alerts"
    ),
    Requirement(EN_303_645, "5.13-1", "input is validated", ("contract",), f"inputs of {_APP}"),
    Requirement(CRA, "I (2)(a)", "no known holes that can be exploited", (), "known holes; see the SBOM"),
    Requirement(CRA, "I (2)(b)", "secure by default", (), "settings of the product"),
    Requirement(CRA, "I (2)(c)", "holes can be closed by updates", _FORWARD, "updates of the product"),
    Requirement(CRA, "I (2)(d)", "no unauthorised access", ("device-key",), "access to the product"),
    Requirement(CRA, "I (2)(e)", "stored and sent data stays confidential", _SECRET, "data beside the model"),
    Requirement(CRA, "I (2)(f)", "data and programs stay as they are", _SIGNED, "data beside the model"),
    Requirement(CRA, "I (2)(g)", "no more data than needed", (), "which data the product processes"),
    Requirement(CRA, "I (2)(h)", "stays available", (), "what the product does without the model"),
    Requirement(CRA, "I (2)(i)", "disturbs no other devices", (), "what the product sends"),
    Requirement(CRA, "I (2)(j)", "little to attack", ("isolation",), "interfaces of the product"),
    Requirement(CRA, "I (2)(k)", "incidents do little damage", ("isolation", "grant-ends"), _APP),
    Requirement(CRA, "I (2)(l)", "what matters to security is recorded", (), "logs of the product"),
    Requirement(CRA, "I (2)(m)", "users can remove their data", (), "data of users"),
    Requirement(CRA, "II (1)", "parts are known: a bill of materials", (), _MAKER),
    Requirement(CRA, "II (7)", "updates are distributed securely", (*_FORWARD, "trust-file"), _MAKER),
)
