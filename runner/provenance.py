"""Which commit a folder is at, and whether the folder differs from that commit. Touches
files, and runs git.

The commit is read from git's own files, at any time. Only git can say whether the
folder differs from it: a child process runs `git status`, and the runner takes its
answer without waiting. That git runs no hook and no monitor, takes no lock, and prompts
for nothing.

The files are as gitrepository-layout(5) says: HEAD, loose refs and packed-refs, `.git`
as a file for work trees and submodules, `commondir`. What belongs to one work tree
(HEAD, index) lies in its own folder, branches in the common one.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from runner.system import own_children
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
_DEEPEST = 5  # as git: SYMREF_MAXDEPTH
_NAMED = re.compile(
    r"(?:rev-)?([0-9a-f]{40}|[0-9a-f]{64})", re.ASCII
)  # git-sync's folders: with v3 "rev-" goes first
DIRTY = "-dirty"
_LARGEST = 64 << 10
"""Bytes of a `.git` file, a HEAD or a ref that are read; each holds one name of a file,
a ref or a commit.
"""
_LARGEST_PACKED = 64 << 20
"""Bytes of a `packed-refs` that are searched: about a million refs."""
_LONGEST_ID = 64
_STATUS = (
    *(
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
        "--no-optional-locks",
        "status",
    ),
    *(
        "--porcelain=v2",
        "-z",
        "--branch",
        "--untracked-files=all",
        "--no-renames",
        "--ignore-submodules=all",
    ),
    *("--", "."),
)
_PATIENCE_S = 30.0
_KILLED_WITHIN_S = 0.05
_CHUNK = 1 << 16
_CHUNKS_AT_ONCE = 16
_REQUEST = re.compile(rb"(?:.*/)?(?:[^._#~/][^/]*|_defaults)\.ya?ml", re.DOTALL)
"""What is read of a jobs folder."""


class Provenance:
    """Which revision a folder is at: its commit, with `-dirty` once it is known to
    differ from that.

    `RUNNER_REVISION` of the environment goes before all else; in no repository it is
    the name of git-sync's folder.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._told = environment.get("RUNNER_REVISION", "").strip() or None
        self._environment = {
            key: value for key, value in environment.items() if not key.startswith("GIT_")
        }
        self._dirty: str | None = None
        self._looking: _Look | None = None
        self._lingering: list[_Look] = []

    @property
    def commit(self) -> str | None:
        """The commit that the folder is at now, without a mark."""
        return self._told or commit_of(self._folder) or _named(self._folder)

    @property
    def is_asking(self) -> bool:
        """Whether git's answer is awaited."""
        return self._looking is not None

    def revision(self) -> str | None:
        """Return the commit that the folder is at now, marked if by the last answer it
        is not as that has it.
        """
        commit = self.commit
        return f"{commit}{DIRTY}" if commit is not None and commit == self._dirty else commit

    def ask(self) -> None:
        """Have git look whether the folder differs from its commit; a look that is not
        over begins anew.
        """
        self.close()
        if self._told is None and commit_of(self._folder) is not None:
            with suppress(OSError):  # no git, or no folder: then nothing is known
                self._looking = _Look(self._folder, self._environment)

    def take(self, *, within_s: float = 0.0) -> bool:
        """Take git's answer if there is one, or comes in time; tell whether none is
        awaited any more.
        """
        if self._looking is not None and self._looking.is_over(within_s):
            self._dirty = self._looking.commit if self._looking.is_dirty else None
            self.close()
        return self._looking is None

    def close(self) -> None:
        """Stop waiting for an answer."""
        looking, self._looking = self._looking, None
        if looking is not None:
            self._lingering.append(looking)
        self._lingering = [each for each in self._lingering if not each.end()]


class _Look:
    """A `git status` that runs. `commit` is what it compares with, None if it failed."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.commit: str | None = None
        self.is_dirty = False
        self._rest = b""
        self._until_s = time.monotonic() + _PATIENCE_S
        # It enters the folder itself (-C), for Popen would wait until it has. A process
        # group of its own keeps Ctrl-C from it; a session of its own would make it look
        # like an execution.
        self._child = subprocess.Popen(
            ("git", "-C", folder, *_STATUS),
            env={
                **environment,
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_TERMINAL_PROMPT": "0",
                "LC_ALL": "C",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        own_children.register(self._child.pid)
        assert self._child.stdout is not None
        self._output = self._child.stdout
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)

    def is_over(self, within_s: float) -> bool:
        """Read what is there, and what comes in time; tell whether nothing more is to be known."""
        until_s = time.monotonic() + within_s
        for _ in range(_CHUNKS_AT_ONCE):
            left_s = max(until_s - time.monotonic(), 0.0)
            if not self._poll.poll(left_s * 1000):
                return time.monotonic() > self._until_s
            chunk = os.read(self._output.fileno(), _CHUNK)
            *entries, self._rest = (self._rest + chunk).split(b"\0")
            for entry in entries:
                self._note(entry)
            if self.is_dirty or not chunk:
                return True
        return time.monotonic() > self._until_s

    def end(self) -> bool:
        """Kill the child if it still runs: there is nothing that it could leave half
        done. Tell whether it has ended.

        A child that waits for a disk that hangs ends when that answers; to be called
        again until then.
        """
        if self._child.returncode is None:
            self._output.close()
            with suppress(
                ProcessLookupError
            ):  # it has just ended, and nothing of its group is left
                os.killpg(self._child.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_KILLED_WITHIN_S)
                own_children.forget(self._child.pid)
        return self._child.returncode is not None

    def _note(self, entry: bytes) -> None:
        """Take an entry: "# branch.oid ID", "? PATH" of what git does not know, or of a
        change anything else.
        """
        kind, _, rest = entry.partition(b" ")
        if kind == b"#":
            name, _, commit = rest.partition(b" ")
            if name == b"branch.oid":
                self.commit = commit.decode(errors="replace")
        else:
            self.is_dirty |= kind != b"?" or _REQUEST.fullmatch(rest) is not None


def _named(folder: Path) -> str | None:
    """Return the commit that git-sync has named a folder by, this one or one above it,
    as it does for each commit.
    """
    real = Path(real_path(folder))
    found = (_NAMED.fullmatch(level.name) for level in (real, *real.parents))
    return next((match[1] for match in found if match), None)


def commit_of(folder: Path) -> str | None:
    """Return the full commit id checked out around `folder`, or None if it is in no repository.

    None as well on a branch without a commit, and where git's files are damaged,
    unreadable, or in the reftable format. Root takes none from files that another user
    may change: git would run what their `config` says.
    """
    own = _git_folder(folder)
    if own and (trust := own_trust()) and objection_to_git(folder, trust):
        return None
    head = own and _text(own / "HEAD")
    return _resolved(own, head) if own and head else None


def objection_to_git(folder: Path, trust: Trust) -> Objection | None:
    """Return why git's files around `folder` are not trusted."""
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
    """Tell whether git holds its `index.lock` around `folder` now; the folder itself
    may be missing meanwhile.
    """
    own = _git_folder(folder)
    return own is not None and os.path.lexists(own / "index.lock")


def _git_folder(folder: Path) -> Path | None:
    """Return the git folder of the work tree around `folder`, looking upwards to the
    root of its file system.
    """
    device = None
    real = Path(real_path(folder))
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
        if is_file(
            git
        ):  # a broken link, which is fatal to git too: a repository further up is another one
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
    common = _common(own)
    for _ in range(_DEEPEST):
        match = _REF.match(text)
        if not match:
            break
        text = _text(own / match[1]) or _text(common / match[1]) or _packed(common, match[1]) or ""
    commit = text.strip()
    return commit if _COMMIT.fullmatch(commit) else None


def _common(own: Path) -> Path:
    """Return the folder that all work trees of a repository have in common."""
    return own / (_text(own / "commondir") or ".").rstrip("\r\n")


def _packed(common: Path, ref: str) -> str | None:
    """Return what `packed-refs` has for `ref`; the file may be large, and is read only
    when it has changed.
    """
    path = common / "packed-refs"
    with suppress(OSError, ValueError):
        return _packed_at(str(path), ref, signature_of(path.stat()))
    return None


@lru_cache(maxsize=16)
def _packed_at(path: str, ref: str, _signature: Signature) -> str | None:
    """Search a `packed-refs`: its lines are "ID REF", comments begin with # and peeled
    tags with ^. Raises OSError.

    The signature is a part of the key only. The file is read in pieces, so that its
    size costs no memory.
    """
    wanted = b" " + os.fsencode(ref) + b"\n"
    with open(open_regular(path), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        if os.fstat(file.fileno()).st_size > _LARGEST_PACKED:
            raise TooLargeError(path, _LARGEST_PACKED)
        rest, chunk = b"\n", b"\n"
        while chunk:
            chunk = file.read(_CHUNK)
            text = rest + (chunk or b"\n")  # the last line may lack its end
            if (at := text.find(wanted)) >= 0:
                return os.fsdecode(text[text.rfind(b"\n", 0, at) + 1 : at])
            rest = text[-len(wanted) - _LONGEST_ID - 1 :]
    return None


def _text(path: Path) -> str | None:
    """Return the text of a short regular file, None if it cannot be had; file names in
    it may be any bytes.
    """
    try:
        return os.fsdecode(read_regular(path, at_most=_LARGEST))
    except (OSError, ValueError):  # ValueError: a NUL in the path that a damaged file gave
        return None
