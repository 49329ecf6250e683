"""modelkeep: protection for machine-learning models on devices their owner does not control."""
