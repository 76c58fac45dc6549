"""A folder's request files and their bytes. Reads files and folders.

Nothing in the folder (a pipe, a device, a huge file, a loop of links) can block, crash
or flood the reader.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.system.regular_files import (
    NotRegularError,
    Signature,
    kind_of,
    open_regular,
    real_path,
    signature_of,
    size_text,
)
from runner.system.trust import ROOT, Objection, Trust, UntrustedError
from runner.values import neutral

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

LARGEST = 1 << 20
"""Maximum size of a file, in bytes."""
MOST_ENTRIES = 500_000
"""Maximum number of entries in a folder and all below it, so that a link to / ends soon."""
_ENTRIES_BETWEEN_YIELDS = 100
_ATTEMPTS = 3
_ENDINGS = (".yaml", ".yml")
_SETTINGS = ("_defaults.yaml", "_defaults.yml")
_SKIPPED = (".", "_", "#", "~")
# A pattern, not compiled at import: compiling takes milliseconds and is rarely needed.
_UNFIT = "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_LASTING = frozenset(
    {
        None,
        errno.EACCES,
        errno.EPERM,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENXIO,
    }
)
"""Errors that last until the file changes.

ENXIO comes from a socket, None from a name that `open` refuses (ValueError).
"""
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Errors that mean that no folder is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a file or folder cannot be read.

    With `is_folder` it concerns everything below. With `may_pass` the same file may
    become readable without a change, so it is read again.
    """

    reason: str
    suggestion: str | None = None
    is_folder: bool = False
    may_pass: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The request files of a folder at one moment, by path relative to it, unordered.

    `troubles` are the paths that cannot be read. `changed` are the files that differ
    from the known signatures, new files included. `defaults` are the `_defaults.yaml`
    files; one without a signature is among the troubles. `links` are the links among
    the files, to folders and to nothing.
    """

    files: Mapping[str, Signature]
    troubles: Mapping[str, Trouble]
    changed: tuple[str, ...]
    defaults: Mapping[str, Signature | None]
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Why a folder shows no files: "does not exist", or "cannot be read: …"."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The bytes of a file and its signature at that time.

    The signature is None for a file that changed during every attempt.
    """

    raw: bytes
    signature: Signature | None


def signature_at(path: str) -> Signature | None:
    """Return the signature of the file at `path`, None if there is none."""
    try:
        return signature_of(os.stat(path))  # noqa: PTH116 (a Path for each of 10,000 files takes longer than the stat)
    except (OSError, ValueError):
        return None


def read_bounded(path: str, trust: Trust | None = None) -> Content | Trouble:
    """Read a regular file of at most `LARGEST` bytes; retry if it changes meanwhile.

    Never blocks on a pipe. With `trust`, refuses every file outside that trust.
    """
    content: Content | Trouble = Trouble(reason="it is not there")
    for _ in range(_ATTEMPTS):
        try:
            content = _read_once(trust.vetted(path) if trust else path)
        except UntrustedError as error:
            return _untrusted(error.objection, is_folder=False)
        except (OSError, ValueError) as error:
            may_pass = getattr(error, "errno", None) not in _LASTING
            return Trouble(reason=f"it cannot be read: {_reason(error)}", may_pass=may_pass)
        if isinstance(content, Trouble) or content.signature is not None:
            return content
    return content


def _read_once(path: str) -> Content | Trouble:
    """Read a file once; the signature is None if the file changed meanwhile."""
    try:
        descriptor = open_regular(path)
    except NotRegularError as error:
        return Trouble(reason=str(error.strerror))
    try:
        before = os.fstat(descriptor)
        if objection := _objection(before):
            return objection
        # One byte more than expected shows growth; a shorter result shows truncation.
        raw = os.read(descriptor, before.st_size + 1)
        is_whole = len(raw) == before.st_size and signature_of(
            os.fstat(descriptor)
        ) == signature_of(before)
        return Content(raw=raw, signature=signature_of(before) if is_whole else None)
    finally:
        os.close(descriptor)


def _objection(status: os.stat_result) -> Trouble | None:
    """Return why a file cannot be read because of its type or size."""
    if not stat.S_ISREG(status.st_mode):
        return Trouble(reason=f"it is {kind_of(status)}, not a file")
    return _too_large() if status.st_size > LARGEST else None


def _untrusted(objection: Objection, *, is_folder: bool) -> Trouble:
    reason = f"root does not read {'the folder' if is_folder else 'it'}: {objection.reason}"
    return Trouble(reason=reason, suggestion=objection.suggestion, is_folder=is_folder)


def _too_large() -> Trouble:
    return Trouble(reason=f"it is larger than {size_text(LARGEST)}", suggestion="split it")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


def listed(
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
            reason = f"the folder cannot be read: {_reason(error)}"
            walk.troubles[relative] = Trouble(reason=reason, is_folder=True)
    return Listing(
        files=walk.files,
        troubles=walk.troubles,
        changed=tuple(walk.changed),
        defaults=walk.defaults,
        links=tuple(walk.links),
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
    return Absence(reason="does not exist" if is_gone else f"cannot be read: {_reason(error)}")


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
        self.ahead: list[tuple[str, str]] = []
        self.entries = 0
        self._known = known
        self._is_guarded = is_guarded
        self._entered: set[tuple[int, int]] = set()

    @property
    def is_too_large(self) -> bool:
        """Whether the walk has reached `MOST_ENTRIES`."""
        return self.entries >= MOST_ENTRIES

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
            self.troubles[relative] = _untrusted(objection, is_folder=True)
        elif identity not in self._entered:
            self._entered.add(identity)
            self.ahead.append((path, relative))
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
        if (
            name.endswith(_ENDINGS)
            and name.isascii()
            and name.isprintable()
            and name[0] not in _SKIPPED
        ):
            if entry.is_symlink():
                self.links.append(relative)
            self._keep_file(entry, relative)
        elif not name.startswith(_SKIPPED) or name in _SETTINGS:
            self._keep(entry, relative)

    def _keep(self, entry: os.DirEntry[str], relative: str) -> None:
        is_request = entry.name.endswith(_ENDINGS)
        if entry.is_symlink() and (is_request or not _is_file(entry)):
            self.links.append(relative)
        if not is_request and not self._is_folder(entry, relative):
            return
        if not entry.name.isprintable() and re.search(_UNFIT, entry.name):
            reason = "its name is not UTF-8, or has control characters"
            self.troubles[neutral(relative)] = Trouble(reason=reason, is_folder=not is_request)
        elif entry.name in _SETTINGS:
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
                self.troubles[relative] = Trouble(reason=f"it is a broken link: {_reason(error)}")
            elif not isinstance(error, FileNotFoundError):  # removed since the scandir
                self.troubles[relative] = Trouble(reason=f"it cannot be read: {_reason(error)}")
            return None
        if reason := _objection(status):
            self.troubles[relative] = reason
        elif self._is_guarded and (objection := _objection_to(entry, status)):
            self.troubles[relative] = _untrusted(objection, is_folder=False)
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
            reason = f"the folder cannot be read: {_reason(error)}"
            self.troubles[neutral(folder)] = Trouble(reason=reason, is_folder=True)
