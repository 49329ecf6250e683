"""The version, where even the command line can read it cheaply."""

__version__ = "0.1.0"
