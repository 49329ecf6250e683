"""The manual page and the completions of shells, made of the command line's own parser.

    python tools/manual.py build/share

Needs argparse-manpage and shtab; who builds a wheel gets both, who installs one gets what they made.
"""

from __future__ import annotations

import sys
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

from modelkeep._version import __version__
from modelkeep.cli.parser import complete_parser

# Where each is looked for below a prefix such as /usr or a user's environment.
PLACES = {
    "bash": "share/bash-completion/completions/modelkeep",
    "zsh": "share/zsh/site-functions/_modelkeep",
}
MANUAL = "share/man/man1/modelkeep.1"


def manual_files() -> dict[str, str]:
    """Returns place and text of every file."""
    parser = complete_parser()
    # Its first line has the day of the build, with which two builds of one version would differ.
    page = f'.TH MODELKEEP "1" "" "modelkeep {__version__}" ""\n' + str(Manpage(parser)).partition("\n")[2]
    completions = {place: shtab.complete(parser, shell) for shell, place in PLACES.items()}
    return {MANUAL: page, **completions}


def write_manual(target: Path) -> list[str]:
    """Writes the files below a folder and returns the place of each."""
    files = manual_files()
    for place, text in files.items():
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        (target / place).write_text(text)
    return list(files)


if __name__ == "__main__":
    write_manual(Path(sys.argv[1]))
