"""What a device can prove: evidence in, verdict out. Pure: no files, no keys, no network, any machine."""
