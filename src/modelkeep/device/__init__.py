"""What a device remembers, and the key of its own that protects it."""
