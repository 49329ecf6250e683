"""The command line: words only, no logic."""
