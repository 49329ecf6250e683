"""Stores of keys, and the handles that they open to.

KeyHandle   what a key store opens to; unwraps grants
Identity    a key handle with the rules for choosing and opening grants around it
"""
