"""What one look at a model has shown, held against what standards ask."""
