"""Reads the commit that is checked out in a folder from git's own files.

The files are described in gitrepository-layout(5): HEAD, loose refs, packed-refs, `.git`
as a file for work trees and submodules, and `commondir`. HEAD and index are in the folder
of the work tree, branches in the common folder.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from runner.system.regular_files import (
    Signature,
    TooLargeError,
    is_file,
    open_regular,
    read_regular,
    real_path,
    signature_of,
)
from runner.system.trust import Objection, Trust, own_trust

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)  # SHA-1 or SHA-256
_REF = re.compile(r"ref:[ \t]*(refs/[^\r\n]+)")
_DEEPEST = 5  # SYMREF_MAXDEPTH of git
# The folders that git-sync creates; version 3 puts "rev-" before the commit.
_NAMED = re.compile(r"(?:rev-)?([0-9a-f]{40}|[0-9a-f]{64})", re.ASCII)
_LARGEST = 64 << 10
"""Maximum size in bytes of a `.git` file, a HEAD or a ref: each holds a single name."""
_LARGEST_PACKED = 64 << 20
"""Maximum size in bytes of a `packed-refs`: about a million refs."""
_LONGEST_ID = 64
_CHUNK = 1 << 16


def commit_of(folder: Path) -> str | None:
    """Return the full id of the commit checked out around `folder`; None if unknown.

    It is unknown outside a repository, on a branch without commits, and where git's files
    are damaged, unreadable, or in the reftable format. Root also ignores a repository
    that another user may change, because git runs commands from its `config`.
    """
    own = _git_folder(folder)
    if own and (trust := own_trust()) and objection_to_git(folder, trust):
        return None
    head = own and _text(own / "HEAD")
    return _resolved(own, head) if own and head else None


def objection_to_git(folder: Path, trust: Trust) -> Objection | None:
    """Return why git's files around `folder` are not trusted; None if they are."""
    own = _git_folder(folder)
    if own is None:
        return None
    files = {
        each / name
        for each in (own, _common(own))
        for name in ("", "HEAD", "config", "index", "packed-refs")
    }
    return next(filter(None, map(trust.objection, sorted(files))), None)


def is_being_changed(folder: Path) -> bool:
    """Return whether git holds its `index.lock` around `folder` now.

    `folder` may be missing: a checkout may be replacing it.
    """
    own = _git_folder(folder)
    return own is not None and os.path.lexists(own / "index.lock")


def _git_folder(folder: Path) -> Path | None:
    """Return the git folder of the work tree around `folder`; None outside a work tree.

    Search upwards to the root of the file system that contains `folder`, as git does.
    """
    device = None
    real = Path(real_path(folder))
    for level in (real, *real.parents):
        try:
            status = level.stat()
        except OSError:  # a checkout may be replacing this folder
            continue
        if device not in (None, status.st_dev):
            return None
        device = status.st_dev
        git = level / ".git"
        own = _linked(git)
        if _text(own / "HEAD") is not None:
            return own
        # A `.git` file that leads nowhere: a fatal error for git as well. A repository
        # further up is a different one.
        if is_file(git):
            return None
    return None


def _linked(git: Path) -> Path:
    """Return the git folder that a `.git` file names; return a `.git` folder itself."""
    text = _text(git)
    if text is None or not text.startswith("gitdir:"):
        return git
    return git.parent / text.removeprefix("gitdir:").strip(" \r\n")


def _resolved(own: Path, text: str) -> str | None:
    """Follow refs from `text`, the content of HEAD, to a commit id; None if there is none."""
    common = _common(own)
    for _ in range(_DEEPEST):
        match = _REF.match(text)
        if not match:
            break
        text = _text(own / match[1]) or _text(common / match[1]) or _packed(common, match[1]) or ""
    commit = text.strip()
    return commit if _COMMIT.fullmatch(commit) else None


def _common(own: Path) -> Path:
    """Return the git folder shared by all work trees of a repository."""
    return own / (_text(own / "commondir") or ".").rstrip("\r\n")


def _packed(common: Path, ref: str) -> str | None:
    """Return the commit of `ref` in `packed-refs`; None if it has none.

    The file may be large, so read it only after a change.
    """
    path = common / "packed-refs"
    with suppress(OSError, ValueError):
        return _packed_at(str(path), ref, signature_of(path.stat()))
    return None


@lru_cache(maxsize=16)
def _packed_at(path: str, ref: str, _signature: Signature) -> str | None:
    """Search a `packed-refs` file for `ref`. Raises OSError.

    Its lines are "ID REF"; comments begin with "#" and peeled tags with "^". The signature
    only serves as a part of the cache's key. Read the file in pieces, to bound the memory.
    """
    wanted = b" " + os.fsencode(ref) + b"\n"
    with open(open_regular(path), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        if os.fstat(file.fileno()).st_size > _LARGEST_PACKED:
            raise TooLargeError(path, _LARGEST_PACKED)
        rest, chunk = b"\n", b"\n"
        while chunk:
            chunk = file.read(_CHUNK)
            text = rest + (chunk or b"\n")  # the last line may lack its newline
            if (at := text.find(wanted)) >= 0:
                return os.fsdecode(text[text.rfind(b"\n", 0, at) + 1 : at])
            # Keep enough for a line that the end of the chunk cuts.
            rest = text[-len(wanted) - _LONGEST_ID - 1 :]
    return None


def _text(path: Path) -> str | None:
    """Return the text of a short regular file; None if it cannot be read.

    Decode it as a file name, because it may contain a name with any bytes.
    """
    try:
        return os.fsdecode(read_regular(path, at_most=_LARGEST))
    except (OSError, ValueError):  # ValueError: a damaged file gave a path with a NUL
        return None


def commit_in_name(folder: Path) -> str | None:
    """Return the commit in the name of a git-sync folder: this one or one above it.

    git-sync checks out each commit into a folder named after it.
    """
    real = Path(real_path(folder))
    found = (_NAMED.fullmatch(level.name) for level in (real, *real.parents))
    return next((match[1] for match in found if match), None)
