"""One line in tools that other people made. Each is an extra, imported when it is used."""
