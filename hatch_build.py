"""Packs only the examples that git tracks: a reader's own requests may lie beside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    """Adds the examples to a wheel, inside the package, or to an sdist, beside the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Tell the builder which files to add; an editable install finds them in the checkout."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from runner.resources import example_files

        folder = "runner/examples" if self.target_name == "wheel" else "jobs.d"
        for path in example_files():
            build_data["force_include"][str(Path(path).resolve())] = f"{folder}/{path.name}"
