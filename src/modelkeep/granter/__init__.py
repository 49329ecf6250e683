"""Granting at scale without trust in a server: requests come as files, grants and questions go as files.

Whoever grants verifies: what a request says counts for nothing; the roster that operators signed and the
evidence that hardware signed do. Source: spec/granter-v1.md.
"""
