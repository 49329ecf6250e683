"""Who may open: recipients, and the grants that give each of them a bundle's data key.

DataKey     32 random bytes per seal; everything else exists to hand them to the right device
Recipient   can receive a grant: a public key, a fleet device or a passphrase
Grant       the data key wrapped for one recipient, bound to bundle and constraints
"""
