"""Apple's code signatures, checked on any system: what was signed, by whom, and whether it is still that."""
