"""Who may open: recipients, grants and identities."""
