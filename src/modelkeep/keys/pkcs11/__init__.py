"""Keys in PKCS#11 tokens: ``pkcs11:token=NAME;object=LABEL?module-path=LIBRARY`` (RFC 7512).

uri      the URI, and where the PIN comes from
token    finding the token; the one login that all keys of a process share
key      P-256 keys for grants, store: making and finding them, signer: keys that sign
"""
