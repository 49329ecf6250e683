"""Which inputs pass."""
