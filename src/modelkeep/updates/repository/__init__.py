"""A repository of releases on static files (TUF): what a publisher writes and devices read."""
