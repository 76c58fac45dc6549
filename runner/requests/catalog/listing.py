"""A folder's request files and their bytes, so that nothing that lies there can block,
crash or flood the reader.

Reads files and folders.
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
"""Bytes of a file that is read."""
MOST_ENTRIES = 500_000
"""Entries of a folder and all below it: a link to / must not be walked to its end."""
_ENTRIES_BETWEEN_YIELDS = 100
_ATTEMPTS = 3
_ENDINGS = (".yaml", ".yml")
_SETTINGS = ("_defaults.yaml", "_defaults.yml")
_SKIPPED = (".", "_", "#", "~")
# Compiled when needed, for that takes milliseconds.
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
"""Errors that remain until something about the file changes; a socket's is ENXIO, of a
bad name None.
"""
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Errors of what is no folder, or not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why something in a folder cannot be read; `is_folder` if all that lies below is concerned.

    `may_pass` says that nothing about the file itself has to change before it can be read.
    """

    reason: str
    suggestion: str | None = None
    is_folder: bool = False
    may_pass: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The request files of a folder at one moment, by path relative to it; and what
    cannot be looked into. No order.

    `changed` are the files that look different from what was known of them, new ones
    included. `defaults` are the files of settings that requests share; those without a
    signature are among the troubles. `links` are the links among them, and those to
    folders or to nothing.
    """

    files: Mapping[str, Signature]
    troubles: Mapping[str, Trouble]
    changed: tuple[str, ...]
    defaults: Mapping[str, Signature | None]
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The bytes of a file, and its signature while they were read; None for a file that
    never stood still.
    """

    raw: bytes
    signature: Signature | None


def signature_at(path: str) -> Signature | None:
    """Return the signature of what is at `path` now, if anything is."""
    try:
        return signature_of(os.stat(path))  # noqa: PTH116 (a Path for each of 10,000 files takes longer than the stat)
    except (OSError, ValueError):
        return None


def read_bounded(path: str, trust: Trust | None = None) -> Content | Trouble:
    """Read a regular file of at most `LARGEST` bytes, again if it changed meanwhile.
    Never blocks on a pipe.

    With `trust` only what that trusts.
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
    try:
        descriptor = open_regular(path)
    except NotRegularError as error:
        return Trouble(reason=str(error.strerror))
    try:
        before = os.fstat(descriptor)
        if objection := _objection(before):
            return objection
        # A byte more than there should be shows whether it has grown; a read that comes
        # short is told by its length.
        raw = os.read(descriptor, before.st_size + 1)
        is_whole = len(raw) == before.st_size and signature_of(
            os.fstat(descriptor)
        ) == signature_of(before)
        return Content(raw=raw, signature=signature_of(before) if is_whole else None)
    finally:
        os.close(descriptor)


def _objection(status: os.stat_result) -> Trouble | None:
    if not stat.S_ISREG(status.st_mode):
        return Trouble(reason=f"it is {kind_of(status)}, not a file")
    return _too_large() if status.st_size > LARGEST else None


def _untrusted(objection: Objection, *, is_folder: bool) -> Trouble:
    reason = f"root does not read {'the folder' if is_folder else 'it'}: {objection.reason}"
    return Trouble(reason=reason, suggestion=objection.suggestion, is_folder=is_folder)


def _too_large() -> Trouble:
    return Trouble(reason=f"it is larger than {size_text(LARGEST)}", suggestion="divide it")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


def listed(
    folder: Path, known: Mapping[str, Signature], *, is_guarded: bool = False
) -> Generator[None, None, Listing | None]:
    """Walk a folder, through links, yielding now and then; return its files, or None if
    it is not there.

    `known` are the signatures that its files had. With `is_guarded` what root must not
    trust counts as unreadable.

    Its own path is resolved once, so that two states of a folder that is swapped by a
    link do not mix. A folder that can be reached in several ways is walked once.
    """
    root = real_path(folder)
    walk = _Walk(known, is_guarded=is_guarded)
    if not walk.enter(root, ""):
        return None
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
        except FileNotFoundError:
            if not relative:
                return None
        except OSError as error:
            if not relative:
                return None
            reason = f"the folder cannot be read: {_reason(error)}"
            walk.troubles[relative] = Trouble(reason=reason, is_folder=True)
    return Listing(
        files=walk.files,
        troubles=walk.troubles,
        changed=tuple(walk.changed),
        defaults=walk.defaults,
        links=tuple(walk.links),
    )


def _objection_to(entry: os.DirEntry[str], status: os.stat_result) -> Objection | None:
    """Say why root must not trust a file in a folder that it trusts."""
    return (
        ROOT.objection(entry.path) if entry.is_symlink() else ROOT.own_objection(entry.path, status)
    )


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


class _Walk:
    """What has been seen of a folder, and what is still to be walked."""

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
        return self.entries >= MOST_ENTRIES

    def enter(self, path: str, relative: str) -> bool:
        """Plan to walk a folder if it has not been walked; tell whether it is a folder at all."""
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
        """Keep a file that looks as it did: by far the most do, and nothing else is to
        be asked of them.
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
        """Return the signature of a file; None for one that is gone or, noted as a
        trouble, not to be read.
        """
        try:
            status = entry.stat()
        except OSError as error:
            if entry.is_symlink():
                self.troubles[relative] = Trouble(
                    reason=f"it is a link to nothing: {_reason(error)}"
                )
            elif not isinstance(error, FileNotFoundError):  # gone since the folder was looked into
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
        """Note a folder that is there but cannot be looked at now: what it held must
        not count as removed.
        """
        if folder and error.errno not in _GONE:
            reason = f"the folder cannot be read: {_reason(error)}"
            self.troubles[neutral(folder)] = Trouble(reason=reason, is_folder=True)
