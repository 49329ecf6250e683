"""Updates: a release is installed while it arrives, tried before it counts, and never half there."""
