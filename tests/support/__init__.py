"""What tests share: people, models and sealed bundles."""
