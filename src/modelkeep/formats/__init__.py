"""What model files say of themselves, read strictly and without the runtimes that load them."""
