"""A release that has nothing special about it, for tests of rules that look at one member of it."""

from __future__ import annotations

from modelkeep.manifest import Coverage, LeafAlgorithm, Manifest, Member, Suite

PLAIN = Manifest(
    model="acme/detector",
    bundle=bytes(16),
    epoch=7,
    sealed_at=0,
    family="",
    release="",
    suite=Suite.AES256_GCM_HKDF_1MB,
    commitment=bytes(32),
    leaf_algorithm=LeafAlgorithm.BLAKE3,
    coverage=Coverage.FILES,
    members=(Member(1, bytes(32)), Member(1, bytes(32))),
)
