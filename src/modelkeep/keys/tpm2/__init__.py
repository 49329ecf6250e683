"""Keys in a TPM 2.0: ``tpm2:PATH``, where PATH is a small file that says which key and which policy.

KeyFile   what is on disk: nothing in it is secret, and none of it works on another TPM
Policy    under which PCR values, whose approval and which authorisation the key works
device    one connection for one operation, so that other processes get their turn
session   encrypted, salted sessions in which a key is used
local     what is sealed for an installation, and vouched for
"""
