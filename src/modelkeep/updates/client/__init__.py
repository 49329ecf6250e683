"""What a device follows: a TUF repository, of which it takes the releases that are its own."""
