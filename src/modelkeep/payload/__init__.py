"""Bytes to authenticated segments and back."""
