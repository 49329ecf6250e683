"""What the guard catches: small models, faults, attacks with and without knowledge of the guard."""
