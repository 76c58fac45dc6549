"""Where the links of a jobs folder lead: which names in which folders decide what is
read. Asks files.

A link is followed one step at a time, because each link on the way can be set anew: of
`a.yaml -> ../current/a.yaml` with `current -> revisions/7` these are `current` in its
folder and `a.yaml` in `revisions/7`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass

from runner.system.regular_files import real_path

_PATHS_BETWEEN_YIELDS = 100
_MOST_LINKS = 40  # as Linux: so many links may one path lead through in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What to watch for the sake of links.

    `names` are the names that matter in folders, by the folder's real path; `trees` the
    real paths of folders of which everything below matters.
    """

    names: Mapping[str, frozenset[str]]
    trees: frozenset[str]


def targets_of(paths: Iterable[str]) -> Generator[None, None, Targets]:
    """Follow links, and what else is given by its absolute path, to their ends; what
    cannot be seen ends a way.

    Yields now and then: there may be thousands.
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
    """What has been found so far. Folders are resolved once: many links lead through the same ones."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {}
        self.trees: set[str] = set()
        self._folders: dict[str, str] = {}
        self._left = 0

    def follow(self, path: str) -> None:
        self._left = _MOST_LINKS
        end = self._followed(path)
        if end is not None and stat.S_ISDIR(_mode(end)):
            self.trees.add(end)

    def _followed(self, path: str) -> str | None:
        """Note every name that a path depends on, and return the real path of its end;
        None for links in a circle.
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
        except OSError:  # it is no link, or not there
            return here
        self._left -= 1
        return self._followed(os.path.join(real, target)) if self._left > 0 else None  # noqa: PTH118

    def _folder(self, path: str) -> str | None:
        """Return the real path of a folder, and note the links that lead there."""
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
