"""The output files that exist, by execution: find them, measure them, remove them.
Touches files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from runner.execution.output import output_path

SLICE = 128
"""How many files one step looks at or removes."""


class KeptOutput(NamedTuple):
    """The output of an execution; a group's is that of its members."""

    size: int
    files: int
    written_s: float
    """When the newest file was last written, in epoch seconds. Any process may set that."""


class KeptOutputs:
    """The output files in a folder, by the execution that wrote them.

    A member's file counts for its outermost group. A file may be anything: it is never
    opened, and no link is followed.
    """

    def __init__(self, folder: Path) -> None:
        self.found: dict[str, KeptOutput] = {}
        self._folder = folder
        # Most files lie where `output_path` says. The others: members' files, and strays.
        self._elsewhere: dict[str, list[str]] = {}

    def look(self) -> Iterator[None]:
        """Find the files, in slices."""
        entries = _entries_in(self._folder)
        while looked_at := list(islice(entries, SLICE)):
            for entry in looked_at:
                with suppress(OSError):  # another program has just removed it
                    self._note(entry)
            yield

    def remove(self, execution: str) -> None:
        """Remove the files of an execution. What cannot be removed stays."""
        for path in (_usual_path(self._folder, execution), *self._elsewhere.pop(execution, ())):
            # Already gone, another user's, or a folder in the place of an output.
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108

    def _note(self, entry: os.DirEntry[str]) -> None:
        status = entry.stat(follow_symlinks=False)
        execution = entry.name.partition(".")[0]
        former = self.found.get(execution, _NOTHING)
        self.found[execution] = KeptOutput(
            former.size + status.st_size,
            former.files + 1,
            max(former.written_s, status.st_mtime),
        )
        if entry.path != _usual_path(self._folder, execution):
            self._elsewhere.setdefault(execution, []).append(entry.path)


def kept_outputs(folder: Path) -> KeptOutputs:
    """Return the outputs in a folder, found all at once."""
    kept = KeptOutputs(folder)
    for _ in kept.look():
        pass
    return kept


_NOTHING = KeptOutput(0, 0, 0.0)


def _entries_in(folder: Path) -> Iterator[os.DirEntry[str]]:
    for outer in _inner_folders(str(folder)):
        for inner in _inner_folders(outer):
            with suppress(OSError), os.scandir(inner) as entries:
                yield from (entry for entry in entries if entry.name.endswith(".out"))


def _usual_path(folder: Path, execution: str) -> str:
    """Return where an execution's output lies. The name of a stray file is perhaps no id."""
    return output_path(folder, execution) if len(execution) > 1 else ""


def _inner_folders(folder: str) -> list[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(
            entry.path
            for entry in entries
            if len(entry.name) == 1 and entry.is_dir(follow_symlinks=False)
        )
    return []
