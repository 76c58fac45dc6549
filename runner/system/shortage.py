"""How too little memory, or no room for a thread, shows itself, and the end of a
program that meets it.

It may come at any import and any call, and what words it may itself fail. So this
imports nothing that takes memory.
"""

from __future__ import annotations

import os

MESSAGE = (
    b"runner: the system has no more memory, or no room for another thread; raise the limit"
    b" (ulimit -v, ulimit -u, MemoryMax= and TasksMax= of the unit)\n"
)
_ENOMEM = 12  # errno is a module of its own
_WORDS = (
    "failed to map segment",
    "annot allocate memory",
    "can't start new thread",
    "error return without exception",
)
"""The dynamic loader's words, and those of CPython where it lost a MemoryError of its own."""


def is_shortage(error: BaseException | None) -> bool:
    """Tell whether an error comes from too little memory or room for threads, perhaps
    by way of others.
    """
    seen = 0
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
    """End this process with a sentence and exit code 1. Nothing is cleaned up: that
    would take memory, too.
    """
    os.write(2, MESSAGE)
    os._exit(1)
