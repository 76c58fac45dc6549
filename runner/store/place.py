"""Where a store is: a state folder, or a PostgreSQL database beside it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

URL = "RUNNER_STORE"
"""The environment variable with the URL of a store in PostgreSQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlace:
    """Where the store of a runner is, and the state folder of this node."""

    folder: Path
    """The state folder of this node: outputs, lock, cache, identity. It always exists."""
    url: str | None = field(default=None, repr=False)
    """The URL of the PostgreSQL database, which may contain a password; None for SQLite in
    `folder`."""

    @property
    def words(self) -> str:
        """Return the place for a message: the folder, or the URL without its secrets."""
        return str(self.folder) if self.url is None else public_url(self.url)


def public_url(url: str) -> str:
    """Return a database's URL without password and parameters."""
    from urllib.parse import urlsplit  # takes a while, and only a fleet needs it

    parts = urlsplit(url)
    # After the last @, so that a password with an @ of its own shows no part of itself.
    host = parts.netloc.rpartition("@")[2]
    user = parts.netloc.partition("@")[0].partition(":")[0] if "@" in parts.netloc else ""
    return f"{parts.scheme}://{f'{user}@' if user else ''}{host}{parts.path}"
