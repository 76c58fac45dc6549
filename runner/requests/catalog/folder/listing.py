"""The request files of a folder, found by walking it. Reads folders, and no file.

Nothing in the folder (a pipe, a device, a huge folder, a loop of links) can block or
flood the walk.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.requests.files.bounded_read import Trouble, reason_of, trouble_with, untrusted
from runner.system.regular_files import Signature, real_path, signature_of
from runner.system.trust import ROOT, Objection
from runner.values import neutral

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

MOST_ENTRIES = 500_000
"""Maximum number of entries in a folder and all below it, so that a link to / ends soon."""
_ENTRIES_BETWEEN_YIELDS = 100
ENDINGS = (".yaml", ".yml")
SETTINGS = ("_defaults.yaml", "_defaults.yml")
SKIPPED = (".", "_", "#", "~")
"""How the names of entries begin that are neither requests nor folders of requests."""
# A pattern, not compiled at import: compiling takes milliseconds and is rarely needed.
_UNFIT = "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Errors that mean that no folder is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The request files of a folder at one moment, by path relative to it, unordered.

    `troubles` are the paths that cannot be read. `changed` are the files that differ
    from the known signatures, new files included. `defaults` are the `_defaults.yaml`
    files; one without a signature is among the troubles. `links` are the links among
    the files, to folders and to nothing. `folders` are the walked folders; "" is the
    jobs folder itself.
    """

    files: Mapping[str, Signature]
    troubles: Mapping[str, Trouble]
    changed: tuple[str, ...]
    defaults: Mapping[str, Signature | None]
    links: tuple[str, ...] = ()
    folders: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Why a folder shows no files: "does not exist", or "cannot be read: …"."""

    reason: str


def list_files(
    folder: Path, known: Mapping[str, Signature], *, is_guarded: bool = False
) -> Generator[None, None, Listing | Absence]:
    """Walk a folder through links in slices; return its files, or why it shows none.

    `known` are the signatures from the last walk. With `is_guarded`, files that root
    must not trust count as unreadable.

    The folder's own path is resolved once, so that a folder swapped by a link is read
    in one state only. A folder reachable by several paths is walked once.
    """
    root = real_path(folder)
    walk = _Walk(known, is_guarded=is_guarded)
    if not walk.enter(root, ""):
        return _absence(root)
    while walk.ahead:
        path, relative = walk.ahead.pop()
        below = f"{relative}/" if relative else ""
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    walk.look_at(entry, below)
                    if walk.entries % _ENTRIES_BETWEEN_YIELDS == 0:
                        yield
                    if walk.is_too_large:
                        break
        except OSError as error:
            if not relative:
                return _absence_by(error)
            if isinstance(error, FileNotFoundError):
                continue
            reason = f"the folder cannot be read: {reason_of(error)}"
            walk.troubles[relative] = Trouble(reason=reason, is_folder=True)
    return walk.listing()


def is_plain_name(name: str) -> bool:
    """Return whether a name is that of a request file, and needs no further check."""
    return (
        name.endswith(ENDINGS)
        and name.isascii()
        and name.isprintable()
        and not name.startswith(SKIPPED)
    )


def _absence(root: str) -> Absence:
    """Return why a path is not a folder that can be entered."""
    try:
        os.stat(root)  # noqa: PTH116
    except OSError as error:
        return _absence_by(error)
    return Absence(reason="is not a folder")


def _absence_by(error: OSError) -> Absence:
    is_gone = error.errno in _GONE
    return Absence(reason="does not exist" if is_gone else f"cannot be read: {reason_of(error)}")


def _objection_to(entry: os.DirEntry[str], status: os.stat_result) -> Objection | None:
    """Return why root must not trust a file whose folder it trusts.

    A link leads elsewhere, so its whole target path is checked.
    """
    return (
        ROOT.objection(entry.path) if entry.is_symlink() else ROOT.own_objection(entry.path, status)
    )


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


class _Walk:
    """The state of one walk: what was found and what is still ahead."""

    def __init__(self, known: Mapping[str, Signature], *, is_guarded: bool) -> None:
        self.files: dict[str, Signature] = {}
        self.changed: list[str] = []
        self.defaults: dict[str, Signature | None] = {}
        self.troubles: dict[str, Trouble] = {}
        self.links: list[str] = []
        self.folders: list[str] = []
        self.ahead: list[tuple[str, str]] = []
        self.entries = 0
        self._known = known
        self._is_guarded = is_guarded
        self._entered: set[tuple[int, int]] = set()

    @property
    def is_too_large(self) -> bool:
        """Whether the walk has reached `MOST_ENTRIES`."""
        return self.entries >= MOST_ENTRIES

    def listing(self) -> Listing:
        """Return what the walk has found."""
        return Listing(
            files=self.files,
            troubles=self.troubles,
            changed=tuple(self.changed),
            defaults=self.defaults,
            links=tuple(self.links),
            folders=frozenset(self.folders),
        )

    def enter(self, path: str, relative: str) -> bool:
        """Plan to walk a folder unless it was walked before; return whether it is a folder."""
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError as error:
            self._note_unreadable(relative, error)
            return False
        identity = (status.st_dev, status.st_ino)
        if not stat.S_ISDIR(status.st_mode):
            return False
        if self._is_guarded and (objection := ROOT.objection(path)):
            self.troubles[relative] = untrusted(objection, is_folder=True)
        elif identity not in self._entered:
            self._entered.add(identity)
            self.ahead.append((path, relative))
            self.folders.append(relative)
        return True

    def look_at(self, entry: os.DirEntry[str], below: str) -> None:
        """Note one entry of a folder; stop the walk at the limit."""
        self.entries += 1
        relative = below + entry.name
        if self.entries >= MOST_ENTRIES:
            self.troubles[""] = Trouble(
                reason=f"there are more than {MOST_ENTRIES} entries below it", is_folder=True
            )
            self.ahead.clear()
        elif relative not in self._known or not self._is_as_known(entry, relative):
            self._look_into(entry, relative)

    def _is_as_known(self, entry: os.DirEntry[str], relative: str) -> bool:
        """Keep a file whose signature is unchanged; return whether it is.

        This is the fast path: nearly every file takes it, at the cost of one `stat`.
        """
        try:
            status = entry.stat()
        except OSError:
            return False
        signature = self._known[relative]
        if signature_of(status) != signature:
            return False
        self.files[relative] = signature
        if entry.is_symlink():
            self.links.append(relative)
        return True

    def _look_into(self, entry: os.DirEntry[str], relative: str) -> None:
        """Note a new or changed entry.

        A plain request name, the usual case, skips the checks of `_keep`.
        """
        name = entry.name
        if is_plain_name(name):
            if entry.is_symlink():
                self.links.append(relative)
            self._keep_file(entry, relative)
        elif not name.startswith(SKIPPED) or name in SETTINGS:
            self._keep(entry, relative)

    def _keep(self, entry: os.DirEntry[str], relative: str) -> None:
        is_request = entry.name.endswith(ENDINGS)
        if entry.is_symlink() and (is_request or not _is_file(entry)):
            self.links.append(relative)
        if not is_request and not self._is_folder(entry, relative):
            return
        if not entry.name.isprintable() and re.search(_UNFIT, entry.name):
            reason = "its name is not UTF-8, or has control characters"
            self.troubles[neutral(relative)] = Trouble(reason=reason, is_folder=not is_request)
        elif entry.name in SETTINGS:
            signature = self._signature(entry, relative)
            if signature or relative in self.troubles:
                self.defaults[relative] = signature
        elif is_request:
            self._keep_file(entry, relative)
        else:
            self.enter(entry.path, relative)

    def _keep_file(self, entry: os.DirEntry[str], relative: str) -> None:
        if signature := self._signature(entry, relative):
            self.files[relative] = signature
            if self._known.get(relative) != signature:
                self.changed.append(relative)

    def _signature(self, entry: os.DirEntry[str], relative: str) -> Signature | None:
        """Return a file's signature, None if it is gone or unreadable.

        An unreadable file is noted as a trouble.
        """
        try:
            status = entry.stat()
        except OSError as error:
            if entry.is_symlink():
                self.troubles[relative] = Trouble(reason=f"it is a broken link: {reason_of(error)}")
            elif not isinstance(error, FileNotFoundError):  # removed since the scandir
                self.troubles[relative] = Trouble(reason=f"it cannot be read: {reason_of(error)}")
            return None
        if reason := trouble_with(status):
            self.troubles[relative] = reason
        elif self._is_guarded and (objection := _objection_to(entry, status)):
            self.troubles[relative] = untrusted(objection, is_folder=False)
        else:
            return signature_of(status)
        return None

    def _is_folder(self, entry: os.DirEntry[str], relative: str) -> bool:
        try:
            return entry.is_dir()
        except OSError as error:
            self._note_unreadable(relative, error)
            return False

    def _note_unreadable(self, folder: str, error: OSError) -> None:
        """Note a folder that exists but cannot be read now.

        Otherwise its requests would count as removed.
        """
        if folder and error.errno not in _GONE:
            reason = f"the folder cannot be read: {reason_of(error)}"
            self.troubles[neutral(folder)] = Trouble(reason=reason, is_folder=True)
