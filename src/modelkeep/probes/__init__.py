"""What this device finds out about itself, and the evidence that it makes for others."""
