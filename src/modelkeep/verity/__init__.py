"""Digests by which a kernel checks what it reads: dm-verity of images, fs-verity of files; signed."""
