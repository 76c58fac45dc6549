"""Packs what lies outside of the package: documents, schemas, examples and manual pages.

Of the examples only those that git tracks: a reader's own requests may lie beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    """Adds files to a wheel, inside the package, or to an sdist, where they are here."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files to add. An editable install finds them in the checkout."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from runner.resources import example_files

        if self.target_name == "wheel":
            self._add_to_wheel(build_data)
            examples = "runner/examples"
        else:
            build_data["force_include"] |= {path: path for path in _documents()}
            examples = "jobs.d"
        for path in example_files():
            build_data["force_include"][str(path.resolve())] = f"{examples}/{path.name}"

    def finalize(self, *_: Any) -> None:
        """Remove the manual pages: the wheel has them."""
        if hasattr(self, "_pages"):
            self._pages.cleanup()

    def _add_to_wheel(self, build_data: dict[str, Any]) -> None:
        from runner.cli.documentation.man_pages import man_pages
        from runner.resources import schema_files

        for path in schema_files():
            build_data["force_include"][str(path.resolve())] = f"runner/schemas/{path.name}"
        for path in _documents():
            build_data["force_include"][path] = f"runner/documentation/{path}"
        self._pages = TemporaryDirectory()
        for name, text in man_pages().items():
            page = Path(self._pages.name, name)
            page.write_text(text)
            build_data["shared_data"][str(page)] = f"share/man/man1/{name}"


def _documents() -> list[str]:
    """Return the documents outside of the package."""
    from runner.resources import DOCUMENTS

    return [path for path in DOCUMENTS if not path.startswith("runner/")]
