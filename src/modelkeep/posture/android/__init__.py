"""Android Key Attestation: what a key's certificates say of the key and of the device that holds it."""
