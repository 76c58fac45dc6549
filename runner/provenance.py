"""Finds the git commit of a folder, and whether the folder differs from it.

The commit is read from git's own files, which is fast. Only git itself can compare the
folder with it: a child process runs `git status`, and the runner takes the answer when
it is ready. That git runs no hook and no file system monitor, takes no lock and never
prompts.

The files are described in gitrepository-layout(5): HEAD, loose refs, packed-refs, `.git`
as a file for work trees and submodules, and `commondir`. HEAD and index are in the folder
of the work tree, branches in the common folder.

Touches files, and runs git.
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
_DEEPEST = 5  # SYMREF_MAXDEPTH of git
# The folders that git-sync creates; version 3 puts "rev-" before the commit.
_NAMED = re.compile(r"(?:rev-)?([0-9a-f]{40}|[0-9a-f]{64})", re.ASCII)
DIRTY = "-dirty"
_LARGEST = 64 << 10
"""Maximum size in bytes of a `.git` file, a HEAD or a ref: each holds a single name."""
_LARGEST_PACKED = 64 << 20
"""Maximum size in bytes of a `packed-refs`: about a million refs."""
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
"""The files that Runner reads in a jobs folder: only these make an untracked file matter."""


class Provenance:
    """The revision of a folder: its commit, with `-dirty` if it is known to differ.

    RUNNER_REVISION in the environment comes first. Outside a repository, the name of a
    git-sync folder is the revision.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._given = environment.get("RUNNER_REVISION", "").strip() or None
        self._environment = {
            key: value for key, value in environment.items() if not key.startswith("GIT_")
        }
        self._dirty: str | None = None
        self._looking: _Look | None = None
        self._lingering: list[_Look] = []

    @property
    def commit(self) -> str | None:
        """The current commit of the folder, without `-dirty`."""
        return self._given or commit_of(self._folder) or _named(self._folder)

    @property
    def is_asking(self) -> bool:
        """Whether an answer from git is pending."""
        return self._looking is not None

    def revision(self) -> str | None:
        """Return the current commit, with `-dirty` if git's last answer says so.

        An answer about another commit does not count.
        """
        commit = self.commit
        return f"{commit}{DIRTY}" if commit is not None and commit == self._dirty else commit

    def ask(self) -> None:
        """Start a git process that compares the folder with its commit.

        End a comparison that is still running.
        """
        self.close()
        if self._given is None and commit_of(self._folder) is not None:
            with suppress(OSError):  # no git installed, or no folder: the answer stays unknown
                self._looking = _Look(self._folder, self._environment)

    def take(self, *, within_s: float = 0.0) -> bool:
        """Take git's answer, waiting up to `within_s` seconds; return whether none is pending."""
        if self._looking is not None and self._looking.is_over(within_s):
            self._dirty = self._looking.commit if self._looking.is_dirty else None
            self.close()
        return self._looking is None

    def close(self) -> None:
        """Kill a running git process and stop waiting for its answer."""
        looking, self._looking = self._looking, None
        if looking is not None:
            self._lingering.append(looking)
        self._lingering = [each for each in self._lingering if not each.end()]


class _Look:
    """A running `git status`. `commit` is the commit it compares with; None if it failed."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.commit: str | None = None
        self.is_dirty = False
        self._rest = b""
        self._until_s = time.monotonic() + _PATIENCE_S
        # -C instead of cwd: Popen would wait until the child has entered the folder,
        # which may hang. A process group of its own protects it from Ctrl-C. It gets no
        # session of its own, or it would look like an execution.
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
        """Read git's output for up to `within_s` seconds; return whether the answer is final.

        The first difference settles it. So does the end of the output, and the end of
        git's 30 s.
        """
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
        """Kill the child if it still runs; return whether it has ended.

        Killing is safe, because `git status` changes nothing here. A child that waits for
        a hanging disk ends only when the disk answers: call again until then.
        """
        if self._child.returncode is None:
            self._output.close()
            with suppress(ProcessLookupError):  # it has just ended, with its whole group
                os.killpg(self._child.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_KILLED_WITHIN_S)
                own_children.forget(self._child.pid)
        return self._child.returncode is not None

    def _note(self, entry: bytes) -> None:
        """Take an entry of the porcelain v2 format.

        An entry is "# branch.oid ID", "? PATH" for an untracked file, or a changed file.
        """
        kind, _, rest = entry.partition(b" ")
        if kind == b"#":
            name, _, commit = rest.partition(b" ")
            if name == b"branch.oid":
                self.commit = commit.decode(errors="replace")
        else:
            self.is_dirty |= kind != b"?" or _REQUEST.fullmatch(rest) is not None


def _named(folder: Path) -> str | None:
    """Return the commit in the name of a git-sync folder: this one or one above it.

    git-sync checks out each commit into a folder named after it.
    """
    real = Path(real_path(folder))
    found = (_NAMED.fullmatch(level.name) for level in (real, *real.parents))
    return next((match[1] for match in found if match), None)


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
