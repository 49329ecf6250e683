"""Runs the command line as `python -m modelkeep`."""

import sys

from modelkeep.cli import main

sys.exit(main())
