"""Limits of the formats: what the code has is what the specs say, and both stand here side by side."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

SPEC = Path(__file__).parents[2] / "spec"

LIMITS = {
    "bundle-v1.md": {
        "`manifest.json` 1 MiB": {"manifest.LARGEST_MANIFEST": 2**20},
        "`model.sig` 8 MiB": {
            "container.names.LARGEST_SIGNATURE": 2**23,
            "trust.oms.LARGEST_DOCUMENT": 2**23,
        },
        "each further signature 128 KiB": {"container.names.LARGEST_FURTHER_SIGNATURE": 2**17},
        "65,537 members": {"manifest.MOST_MEMBERS": 65_537},
        "magnitude at most 2^53 - 1": {"canonical.LARGEST_INTEGER": 9_007_199_254_740_991},
        "Nesting is at most 31 levels": {"canonical.DEEPEST_NESTING": 31},
        "at most 4 timestamps": {"trust.oms.MOST_TIMESTAMPS": 4},
        "of at most 16 KiB, whose message imprint": {"trust.timestamps.LARGEST_TIMESTAMP": 2**14},
        "bytes from t * 2^20 up to (t + 1) * 2^20": {"payload.layout.SEGMENT": 2**20},
        "optional array of 1 to 64 public keys": {"manifest.MOST_GRANT_ISSUERS": 64},
        "optional string of 1 to 1024 characters": {"manifest.LONGEST_UPSTREAM": 1024},
        "(2^32 - 1) * 1,048,560 - 40 bytes": {"manifest.LARGEST_MEMBER": (2**32 - 1) * 1_048_560 - 40},
    },
    "grant-v1.md": {
        "A grant is canonical JSON of at most 8192 bytes": {"grants.grant.LARGEST_GRANT": 8192},
        "at most 253402300799": {"clock.LATEST_TIME": 253_402_300_799},
        "zero bytes up to 104": {"grants.secret.SECRET_BYTES": 104},
        "[A-Za-z0-9._-]{1,64}": {"grants.secret.LONGEST_DEVICE_ID": 64},
        "array of 1 to 16 ascending unique names": {"grants.constraints.MOST_POSTURES": 16},
        '"log_n": 14 to 20': {"grants.header.LOWEST_LOG_N": 14, "grants.header.HIGHEST_LOG_N": 20},
        "1 to 1024 of them, without normalisation": {"keys.passphrase_source.LONGEST_PASSPHRASE": 1024},
    },
    "install-v1.md": {
        "section 2; at most 65,536 bytes": {"container.names.LARGEST_INSTALL": 65_536},
        "| `models` | array of at most 10,000": {"device.contents_json.MOST_MODELS": 10_000},
        "| `trust` | array of at most 1000": {"device.contents_json.MOST_ROOT_SETS": 1000},
        "(fingerprints, ascending, at most 64)": {"device.contents_json.MOST_ROOT_KEYS": 64},
        "| `tuf` | array of at most 256": {"device.contents_json.MOST_ROLES": 256},
        "array of at most 64 vouchers": {"device.contents_json.MOST_ADOPTERS": 64},
        "| `installations` | array of at most 64": {"device.contents.MOST_INSTALLATIONS": 64},
        "| `quarantine` | array of at most 64": {"device.contents.MOST_QUARANTINED": 64},
        "the three highest places are kept": {"device.marks.MOST_OF_ONE_SIGNER": 4},
        "at most 16 signers": {"device.marks.MOST_SIGNERS": 16},
    },
    "trust-v1.md": {
        "canonical JSON of at most 2 MiB": {"trust.envelope.LARGEST_FILE": 2**21},
        "| `signatures` | array of at most 64": {"trust.envelope.MOST_SIGNATURES": 64},
        "array of at most 64 envelopes": {"trust.envelope.MOST_DOCUMENTS": 64},
        "| `publishers` | array of at most 1024": {"trust.trust_payload.MOST_PUBLISHERS": 1024},
        "at most 10000 each": {"trust.trust_payload.MOST_REVOKED": 10_000},
        "| `floors` | array of at most 10000": {"trust.trust_payload.MOST_FLOORS": 10_000},
        "array of at most 16 root certificates": {"trust.trust_payload.MOST_AUTHORITIES": 16},
        "not in this one, at most 10000": {"trust.roots_document.MOST_REMOVED": 10_000},
    },
}
EVERY = [(page, words) for page, limits in LIMITS.items() for words in limits]


@pytest.mark.parametrize(("page", "words"), EVERY)
def test_a_limit_is_what_its_spec_says(page: str, words: str) -> None:
    assert words in " ".join((SPEC / page).read_text().split())
    for place, value in LIMITS[page][words].items():
        module, _, name = place.rpartition(".")
        assert getattr(importlib.import_module(f"modelkeep.{module}"), name) == value
