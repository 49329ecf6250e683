"""Who computes: adapters for inference runtimes, and what they need to know of model files."""
