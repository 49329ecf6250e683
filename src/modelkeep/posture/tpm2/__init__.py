"""TPM 2.0: what a TPM's statements prove, read without a TPM and without its libraries."""
