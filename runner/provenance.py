"""Which git commit a folder is at, read from git's own files. Touches files; starts no process.

The files are as gitrepository-layout(5) says: HEAD, loose refs and packed-refs, `.git` as a file for work trees and
submodules, `commondir`. What belongs to one work tree (HEAD, index) lies in its own folder, branches in the common one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)  # SHA-1 or SHA-256
_REF = re.compile(r"ref:[ \t]*(refs/[^\r\n]+)")
_DEEPEST = 5  # as git: SYMREF_MAXDEPTH


def commit_of(folder: Path) -> str | None:
    """Return the full commit id checked out around `folder`, or None if it is in no repository.

    None as well on a branch without a commit, and where git's files are damaged, unreadable, or in the reftable format.
    """
    own = _git_folder(folder)
    head = own and _text(own / "HEAD")
    return _resolved(own, head) if own and head else None


def is_being_changed(folder: Path) -> bool:
    """Tell whether git holds its `index.lock` around `folder` now; the folder itself may be missing meanwhile."""
    own = _git_folder(folder)
    return own is not None and os.path.lexists(own / "index.lock")


def _git_folder(folder: Path) -> Path | None:
    """Return the git folder of the work tree around `folder`, looking upwards to the root of its file system."""
    device = None
    real = Path(os.path.realpath(folder))
    for level in (real, *real.parents):
        try:
            status = level.stat()
        except OSError:  # a checkout may just be removing it
            continue
        if device not in (None, status.st_dev):
            return None
        device = status.st_dev
        git = level / ".git"
        own = _linked(git)
        if _text(own / "HEAD") is not None:
            return own
        if git.is_file():  # a broken link, which is fatal to git too: a repository further up is another one
            return None
    return None


def _linked(git: Path) -> Path:
    """Return where a `.git` file points to; a folder is itself the answer."""
    text = _text(git)
    if text is None or not text.startswith("gitdir:"):
        return git
    return git.parent / text.removeprefix("gitdir:").strip(" \r\n")


def _resolved(own: Path, text: str) -> str | None:
    """Follow `text`, the content of HEAD, from ref to ref to a commit id."""
    common = own / (_text(own / "commondir") or ".").rstrip("\r\n")
    for _ in range(_DEEPEST):
        match = _REF.match(text)
        if not match:
            break
        text = _text(own / match[1]) or _text(common / match[1]) or _packed(common, match[1]) or ""
    commit = text.strip()
    return commit if _COMMIT.fullmatch(commit) else None


def _packed(common: Path, ref: str) -> str | None:
    """Return what `packed-refs` has for `ref`; its lines are "ID REF", comments begin with # and peeled tags with ^."""
    for line in (_text(common / "packed-refs") or "").split("\n"):
        commit, _, name = line.partition(" ")
        if name == ref:
            return commit
    return None


def _text(path: Path) -> str | None:
    """Return a regular file's text, None if it cannot be had; file names in it may be any bytes."""
    try:
        return os.fsdecode(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError):  # ValueError: a NUL in the path that a damaged file gave
        return None
