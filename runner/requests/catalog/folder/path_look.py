"""What became of single files of a folder that was walked before. Reads no file.

A look costs one `stat` for each path, a walk one for each file. A look finds what a walk
would find, or it says that only a walk can tell.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.requests.catalog.folder.listing import ENDINGS, SETTINGS, SKIPPED, is_plain_name
from runner.requests.files.bounded_read import trouble_with
from runner.system.regular_files import Signature, signature_of
from runner.system.trust import ROOT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look at some paths found, by path relative to the jobs folder.

    `changed` are new or changed request files with their signatures, and `gone` are known
    ones that disappeared. `unchanged` are those about which a walk would find no news.
    """

    changed: dict[str, Signature] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    unchanged: set[str] = field(default_factory=set)


def look_at(
    paths: Iterable[str],
    known: Mapping[str, Signature],
    folders: Collection[str],
    *,
    root: str,
    is_guarded: bool,
) -> Found | None:
    """Return what became of `paths`, relative to `root`; None if only a walk can tell.

    `known` are the signatures and `folders` the folders that the last walk of `root` has
    found. That walk must have found no link and nothing unreadable.
    """
    look = _Look(known, folders, root=root, is_guarded=is_guarded)
    return look.found if all(map(look.is_sure_of, paths)) else None


class _Look:
    """One look at some paths."""

    def __init__(
        self,
        known: Mapping[str, Signature],
        folders: Collection[str],
        *,
        root: str,
        is_guarded: bool,
    ) -> None:
        self.found = Found()
        self._known = known
        self._folders = folders
        self._root = root
        self._is_guarded = is_guarded

    def is_sure_of(self, relative: str) -> bool:
        """Note what became of one path; return False if only a walk can tell."""
        folder, _, name = relative.rpartition("/")
        if name in SETTINGS or relative.startswith("/"):
            return False
        if any(part.startswith(SKIPPED) for part in relative.split("/")):
            return True  # a walk would not see it
        try:
            status = os.lstat(f"{self._root}/{relative}")
        except FileNotFoundError:
            self._note_missing(relative)
            return True
        except (OSError, ValueError):
            return False
        if not stat.S_ISREG(status.st_mode):
            return False
        if not name.endswith(ENDINGS):
            return True
        if folder not in self._folders or not self._is_plain(relative, status):
            return False
        self._note(relative, signature_of(status))
        return True

    def _note_missing(self, relative: str) -> None:
        if relative in self._known:
            self.found.gone.add(relative)
        elif relative.endswith(ENDINGS):  # other names are those of temporary files
            self.found.unchanged.add(relative)

    def _is_plain(self, relative: str, status: os.stat_result) -> bool:
        """Return whether a request file can be read, and has this name alone.

        A write to a file with several names is reported for one of them.
        """
        objects = self._is_guarded and ROOT.own_objection(f"{self._root}/{relative}", status)
        return (
            is_plain_name(relative.rpartition("/")[2])
            and status.st_nlink == 1
            and trouble_with(status) is None
            and not objects
        )

    def _note(self, relative: str, signature: Signature) -> None:
        if self._known.get(relative) == signature:
            self.found.unchanged.add(relative)
        else:
            self.found.changed[relative] = signature
