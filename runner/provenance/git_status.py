"""Runs `git status` in a child process, without waiting for it.

That git runs no hook and no file system monitor, takes no lock and never prompts.
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
from pathlib import Path

from runner.system import own_children

_STATUS = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "--no-optional-locks",
    "status",
    "--porcelain=v2",
    "-z",
    "--branch",
    "--untracked-files=all",
    "--no-renames",
    "--ignore-submodules=all",
    "--",
    ".",
)
_PATIENCE_S = 30.0
_KILLED_WITHIN_S = 0.05
_CHUNK = 1 << 16
_CHUNKS_AT_ONCE = 16
_REQUEST = re.compile(rb"(?:.*/)?(?:[^._#~/][^/]*|_defaults)\.ya?ml", re.DOTALL)
"""The files that Runner reads in a jobs folder: only these make an untracked file matter."""


class GitStatus:
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
