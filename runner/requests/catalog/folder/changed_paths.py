"""The paths of a folder that were reported as changed, for a reader that need not walk it all.

Touches no files. A watcher notes paths in its own thread, and one reader takes them.
"""

from __future__ import annotations

from threading import Lock

MOST_NOTES = 500
"""Maximum number of notes between two readings; more are a delivery, which needs a walk.

It is far below the length of the kernel's queue of events (16,384), so a queue that
overflowed always exceeds it, even if all its events concern one path.
"""


class ChangedPaths:
    """Absolute paths that may have changed since the folder was last read.

    A doubt says that any other path may have changed, too. It holds until a reading of the
    whole folder begins. At first everything is in doubt.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._paths: set[str] = set()
        self._notes = 0
        self._is_doubted = True

    def note(self, *paths: str) -> None:
        """Note that these paths may have changed."""
        with self._lock:
            self._notes += 1
            if self._notes > MOST_NOTES:
                self._doubt()
            elif not self._is_doubted:
                self._paths.update(paths)

    def doubt(self) -> None:
        """Note that any path may have changed."""
        with self._lock:
            self._doubt()

    def take(self, *, ends_doubt: bool = False) -> frozenset[str] | None:
        """Return the paths noted since the last call; None if any path may have changed.

        With `ends_doubt`, the caller walks the whole folder after None.
        """
        with self._lock:
            taken = None if self._is_doubted else frozenset(self._paths)
            self._paths.clear()
            if ends_doubt:
                self._notes, self._is_doubted = 0, False
            return taken

    def _doubt(self) -> None:
        self._is_doubted = True
        self._paths.clear()
