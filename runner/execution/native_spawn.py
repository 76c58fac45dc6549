"""posix_spawn(3) by way of the C library. Touches processes.

`os.posix_spawn` holds the interpreter's lock until the program runs, so a program on a
mount that hangs would hold up the whole runner; and it has no directory. Here the child
enters the directory (`addchdir_np`: glibc 2.29, musl 1.1.24), and other threads go on
meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cache

# The numbers of Linux, where glibc and musl agree.
_SETSIGDEF, _SETSIGMASK, _SETSID = 0x04, 0x08, 0x80
_ROOM = 512  # of each of the library's own structures, the largest of which takes 336 bytes


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)  # which, unlike PyDLL, releases the lock


@cache
def knows_directories() -> bool:
    """Return whether a child can enter a directory."""
    return sys.platform == "linux" and hasattr(_library(), "posix_spawn_file_actions_addchdir_np")


@cache
def _attributes() -> ctypes.Array[ctypes.c_char]:
    """Return the attributes of a child: a session of its own, no signal blocked, each
    at its default.

    A child would inherit what we, or whoever started us, ignore: Python itself ignores
    SIGPIPE and SIGXFSZ.
    """
    library, attributes, signals = (
        _library(),
        ctypes.create_string_buffer(_ROOM),
        ctypes.create_string_buffer(_ROOM),
    )
    library.posix_spawnattr_init(attributes)
    library.posix_spawnattr_setflags(attributes, ctypes.c_short(_SETSIGDEF | _SETSIGMASK | _SETSID))
    library.sigemptyset(signals)
    library.posix_spawnattr_setsigmask(attributes, signals)
    library.sigfillset(signals)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        library.sigdelset(signals, int(number))
    library.posix_spawnattr_setsigdefault(attributes, signals)
    return attributes


def spawn(
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    output: int,
    directory: str | None = None,
    passed: Sequence[int] = (),
) -> int:
    """Start a program in a session of its own, its stdout and stderr to `output`; return its pid.

    `passed` descriptors stay open in it. Raises OSError, and ValueError for what no
    program can be given.
    """
    library, actions = _library(), ctypes.create_string_buffer(_ROOM)
    path, folder = os.fsencode(program), None if directory is None else os.fsencode(directory)
    given, variables = (
        _strings(arguments),
        _strings([_variable(*each) for each in environment.items()]),
    )
    pid = ctypes.c_int()
    _check(library.posix_spawn_file_actions_init(actions))
    try:
        _check(library.posix_spawn_file_actions_adddup2(actions, output, 1))
        _check(library.posix_spawn_file_actions_adddup2(actions, output, 2))
        # stdin last: where our own 0 to 2 are closed, `output` may be one of them
        _check(library.posix_spawn_file_actions_addopen(actions, 0, b"/dev/null", os.O_RDONLY, 0))
        for descriptor in passed:
            _check(
                library.posix_spawn_file_actions_adddup2(actions, descriptor, descriptor)
            )  # takes CLOEXEC away
        if folder is not None:
            _check(library.posix_spawn_file_actions_addchdir_np(actions, folder))
        _check(
            library.posix_spawn(ctypes.byref(pid), path, actions, _attributes(), given, variables)
        )
    finally:
        library.posix_spawn_file_actions_destroy(actions)
    return pid.value


def _variable(name: str, value: str) -> str:
    if not name or "=" in name:
        raise ValueError("illegal environment variable name")
    return f"{name}={value}"


def _strings(texts: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [os.fsencode(text) for text in texts]
    if any(b"\0" in each for each in encoded):
        raise ValueError("embedded null byte")
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


def _check(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))
