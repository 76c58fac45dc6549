"""Packs what lies outside of the package: documents, schemas, and examples.

Of the examples only those that git tracks: a reader's own requests may lie beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    """Adds files to a wheel, inside the package, or to an sdist, where they are here."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files to add. An editable install finds them in the checkout."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from runner.resources import DOCUMENTS, example_files, schema_files

        is_wheel = self.target_name == "wheel"
        added = {
            path: f"{'runner/examples' if is_wheel else 'jobs.d'}/{path.name}"
            for path in example_files()
        }
        if is_wheel:
            added |= {path: f"runner/schemas/{path.name}" for path in schema_files()}
        root = Path(self.root)
        for document in DOCUMENTS:
            # What is inside the package needs no second copy.
            if not document.startswith("runner/"):
                added[root / document] = (
                    f"runner/documentation/{document}" if is_wheel else document
                )
        for path, place in added.items():
            build_data["force_include"][str(path.resolve())] = place
