"""Puts the manual page, completions of shells and the bill of materials into wheels, made by `tools`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualHook(BuildHookInterface[Any]):
    """Is asked by hatchling before a wheel is made."""

    def dependencies(self) -> list[str]:
        """Returns what the pages are made with."""
        return ["argparse-manpage>=4.6", "shtab>=1.7"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Makes the files for a wheel; sources that are installed in place have none."""
        if version == "editable":
            return
        # The parser is the one of these sources, which need nothing to say what their options are.
        sys.path[:0] = [str(Path(self.root, "src")), str(Path(self.root, "tools"))]
        from bill import PLACE, write_bill
        from manual import write_manual

        target = Path(self.root, "build")
        write_bill(target / PLACE)
        build_data["sbom_files"].append(str(Path("build", PLACE)))
        build_data["shared_data"] |= {str(target / place): place for place in write_manual(target)}
