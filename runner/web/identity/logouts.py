"""The sessions that ended before their cookies expire. Touches one file.

The file lets a logout outlast the program. A program that cannot write it does not log out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from runner.errors import StoreError
from runner.requests.files.permissions import require_trusted
from runner.system.regular_files import read_regular, signature_of
from runner.web.identity.tokens import locked, write_private

FILE = "web-logouts.json"
"""The name of the file in the state folder."""
_LARGEST = 16 << 20


class Logouts:
    """The ended sessions of a state folder. A changed file is read again. Thread-safe."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._lock = Lock()
        self._known: tuple[tuple[int, ...] | None, Mapping[str, float]] = (None, {})

    def ids(self) -> Mapping[str, float]:
        """Return the ids of ended sessions, with the time when their cookies expire.

        Raises StoreError, and RefusedError for a file that root must not trust.
        """
        try:
            signature = signature_of(self._path.stat())
        except FileNotFoundError:
            return {}
        with self._lock:
            if signature != self._known[0]:
                require_trusted(self._path, "the logouts of the page")
                self._known = signature, _read(self._path)
            return self._known[1]

    def add(self, session: str, expires_s: float) -> None:
        """Note that a session has ended, until a time in epoch seconds. Raises OSError, and as
        `ids`.
        """
        with locked(self._path.parent):
            now_s = time.time()
            left = {each: at for each, at in self.ids().items() if at > now_s}
            content = json.dumps({"v": 1, "sessions": left | {session: expires_s}}, indent=1)
            write_private(self._path, content.encode() + b"\n")


def _read(path: Path) -> dict[str, float]:
    try:
        found = json.loads(read_regular(path, at_most=_LARGEST))["sessions"]
        return {str(session): float(at) for session, at in found.items()}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"{path} cannot be read: remove it together with web.key, which ends all logins"
        ) from error
