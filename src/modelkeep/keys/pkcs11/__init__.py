"""Keys in PKCS#11 tokens: ``pkcs11:token=NAME;object=LABEL?module-path=LIBRARY`` (RFC 7512).

uri      the URI, and where the PIN comes from
token    finding the token; the one login that all keys of a process share
key      P-256 keys for grants, local: the AES keys beside them, handle: both, signer: keys that sign
store    all of it as a key store, creation: making keys, and what belongs to one
"""
