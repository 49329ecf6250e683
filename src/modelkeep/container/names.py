"""Names and sizes of the files that make up a bundle or an installation.

Source: spec/bundle-v1.md and spec/install-v1.md, "Container".
"""

from __future__ import annotations

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
LEAVES = "leaves"
PAYLOAD = "payload"
SIGNATURES = "signatures"
SECOND_SIGNATURE = f"{SIGNATURES}/0"
GRANTS = "grants"
INSTALL = "install.json"

LARGEST_SIGNATURE = 8 * 2**20
LARGEST_FURTHER_SIGNATURE = 2**17
MOST_SIGNATURES = 64
MOST_GRANTS = 1024
LARGEST_INSTALL = 65_536


def leaves(index: int) -> str:
    """Returns the name of the leaf list of member `index`."""
    return f"{LEAVES}/{index}"


def payload(index: int) -> str:
    """Returns the name of the stream of member `index`."""
    return f"{PAYLOAD}/{index}"


def grant(index: int) -> str:
    """Returns the name of embedded grant `index`."""
    return f"{GRANTS}/{index}"


def signed_files(members: int) -> list[str]:
    """Returns the names that a statement over all files lists, for a bundle of `members` members."""
    return [MANIFEST, *(name(index) for name in (leaves, payload) for index in range(members))]
