"""Watches a jobs folder and says "look again". Touches watchdog; no event is believed, each only wakes.

"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class Watcher:
    """Calls `wake` (from another thread) whenever anything below `folder` may have changed."""

    def __init__(self, folder: Path, wake: Callable[[], None]) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start watching; a missing folder is watched for to appear. Never raises: without notification `check` serves."""
        raise NotImplementedError

    def check(self) -> bool:
        """Look at the folder's identity (real path, device, inode); True, and watched anew, if it is another one.

        The owner calls it every 0.5 s.
        """
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError
