"""The revision of a jobs folder, for records and for people. Reads git's files and runs git."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from runner.provenance.commits import commit_in_name, commit_of
from runner.provenance.git_status import GitStatus

DIRTY = "-dirty"


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
        self._looking: GitStatus | None = None
        self._lingering: list[GitStatus] = []

    @property
    def commit(self) -> str | None:
        """The current commit of the folder, without `-dirty`."""
        return self._given or commit_of(self._folder) or commit_in_name(self._folder)

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
                self._looking = GitStatus(self._folder, self._environment)

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
