"""The file in the state folder that keeps what was read of a jobs folder. Touches that file.

A missing or unusable file only makes the next program slower.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from runner.system.regular_files import read_regular
from runner.system.trust import Trust, own_trust

NAME = "catalog.jsonl"
_LARGEST = 64 << 20
"""Maximum size, in bytes: enough for some 100,000 requests. A larger folder has no cache."""


class CacheFile:
    """The cache of one state folder.

    What it holds is taken as validated, so another user must not be able to write it.
    It is neither read nor written unless it and its folder belong to this user, or to
    root, and only they may change them.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / NAME

    def read(self) -> bytes:
        """Return the content; empty if there is none that can be trusted."""
        with suppress(OSError):
            if self._is_own():
                return read_regular(self._path, at_most=_LARGEST)
        return b""

    def write(self, content: bytes) -> None:
        """Replace the content.

        Two programs may write at once: what a reader then sees is one of the two contents,
        or a part of one that its checksum reveals.
        """
        new = self._path.with_name(f"{self._path.name}.new")
        with suppress(OSError):
            if len(content) > _LARGEST or not self._is_own():
                return
            # Remove it, whatever it is: opening a FIFO would wait for its other end.
            new.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(new, flags, 0o600), "wb") as file:  # noqa: PTH123
                file.write(content)
            new.replace(self._path)

    def _is_own(self) -> bool:
        """Report whether only this user and root can change the file and its folder."""
        trust = own_trust() or Trust(users=frozenset({0, os.geteuid()}), groups=frozenset({0}))
        return not any(trust.objection(place) for place in (self._path.parent, self._path))
