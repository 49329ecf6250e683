"""The options of each command, a file for each; imported when the command is asked for."""
