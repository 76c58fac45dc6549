"""Which git commit a folder is at, read from git's own files. Touches files; starts no process."""

from __future__ import annotations

from pathlib import Path


def commit_of(folder: Path) -> str | None:
    """Return the full commit id checked out around `folder`, or None if it is in no repository."""
    raise NotImplementedError


def is_being_changed(folder: Path) -> bool:
    """Tell whether git holds its `index.lock` around `folder` now."""
    raise NotImplementedError
