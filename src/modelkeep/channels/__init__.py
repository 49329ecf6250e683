"""Bytes by name, wherever they are: what updates are taken from, and what a publisher writes."""
