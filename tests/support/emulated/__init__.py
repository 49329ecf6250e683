"""A device in QEMU: Secure Boot, a TPM, a root behind dm-verity, and modelkeep inside."""
