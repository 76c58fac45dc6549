"""Recognises a lack of memory or threads, and ends the program with a clear message.

Such an error may occur at any import and in any call, also while a message is composed.
So this module imports only `os` and builds no text. Touches stderr.
"""

from __future__ import annotations

import os

MESSAGE = (
    b"runner: the system has no more memory, or no room for another thread; raise the limit"
    b" (ulimit -v, ulimit -u, MemoryMax= and TasksMax= of the unit)\n"
)
_ENOMEM = 12  # on Linux and macOS; importing `errno` could itself fail
_WORDS = (
    "failed to map segment",
    "annot allocate memory",
    "can't start new thread",
    "error return without exception",
    "returned NULL without setting an exception",
)
"""Messages of the dynamic loader, and of CPython where it lost its own MemoryError."""


def is_shortage(error: BaseException | None) -> bool:
    """Return whether an error, or one that caused it, is a lack of memory or threads."""
    seen = 0  # a chain of causes may be a cycle
    while error is not None and seen < 100:
        if isinstance(error, MemoryError) or (
            isinstance(error, OSError) and error.errno == _ENOMEM
        ):
            return True
        if isinstance(error, (ImportError, OSError, RuntimeError, SystemError)):
            text = str(error)
            if any(words in text for words in _WORDS):
                return True
        error = error.__cause__ or error.__context__
        seen += 1
    return False


def end() -> None:
    """Print the message and exit with code 1. Skip all cleanup: it would need memory."""
    os.write(2, MESSAGE)
    os._exit(1)
