"""Finds the names outside a jobs folder on which its links depend. Reads links.

Each link is followed one step at a time, because any link on the way may be replaced. For
`a.yaml -> ../current/a.yaml` and `current -> revisions/7`, the names are `current` in its
folder and `a.yaml` in `revisions/7`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass

from runner.system.regular_files import real_path

_PATHS_BETWEEN_YIELDS = 100
_MOST_LINKS = 40  # links in the resolution of one path, as in Linux (path_resolution(7))


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The places to watch because links lead there."""

    names: Mapping[str, frozenset[str]]
    """The relevant names in each folder, by the folder's real path."""
    trees: frozenset[str]
    """Real paths of folders to which a link leads: everything below them is relevant."""


def targets_of(paths: Iterable[str]) -> Generator[None, None, Targets]:
    """Follow links, given by their absolute paths, to their targets.

    Stop at what cannot be read. Yield after every 100 paths, because there may be
    thousands.
    """
    following = _Following()
    for count, path in enumerate(paths):
        following.follow(path)
        if count % _PATHS_BETWEEN_YIELDS == 0:
            yield
    return Targets(
        names={folder: frozenset(names) for folder, names in following.names.items()},
        trees=frozenset(following.trees),
    )


class _Following:
    """The places found so far. Each folder is resolved once, because many links share it."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {}
        self.trees: set[str] = set()
        self._folders: dict[str, str] = {}
        self._left = 0

    def follow(self, path: str) -> None:
        """Note the names on which a path depends, and the tree if it leads to a folder."""
        self._left = _MOST_LINKS
        end = self._followed(path)
        if end is not None and stat.S_ISDIR(_mode(end)):
            self.trees.add(end)

    def _followed(self, path: str) -> str | None:
        """Note every name on which a path depends; return the real path of its target.

        Return None for a cycle of links.
        """
        folder, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            return real_path(path)
        if (real := self._folder(folder)) is None:
            return None
        self.names.setdefault(real, set()).add(name)
        here = f"{real.rstrip('/')}/{name}"
        try:
            target = os.readlink(here)  # noqa: PTH115
        except OSError:  # not a link, or missing
            return here
        self._left -= 1
        if self._left <= 0:
            return None
        return self._followed(os.path.join(real, target))  # noqa: PTH118

    def _folder(self, path: str) -> str | None:
        """Return the real path of a folder, and note the links on the way; None for a cycle."""
        if path in self._folders:
            return self._folders[path]
        real: str | None = "/"
        for part in path.split("/"):
            if real is None:
                return None
            if part == "..":
                real = os.path.dirname(real)  # noqa: PTH120
            elif part not in ("", "."):
                here = f"{real.rstrip('/')}/{part}"
                real = self._followed(here) if _is_link(here) else here
        if real is not None:
            self._folders[path] = real
        return real


def _is_link(path: str) -> bool:
    return os.path.islink(path)  # noqa: PTH114 - unlike Path.is_symlink it never raises


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0
