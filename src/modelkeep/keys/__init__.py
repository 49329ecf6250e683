"""Who may open: data keys, recipients, grants, identities and the stores their keys live in.

DataKey     32 random bytes per seal; everything else exists to hand them to the right device
Recipient   can receive a grant: a public key, a fleet device or a passphrase
Grant       the data key wrapped for one recipient, bound to bundle and constraints
KeyHandle   what a key store opens to; unwraps grants
Identity    a key handle with the rules for choosing and opening grants around it
"""
