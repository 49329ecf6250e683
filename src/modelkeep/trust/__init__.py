"""Who made it: signing and verifying bundles and plain files."""
