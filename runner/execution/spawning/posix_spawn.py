"""Calls posix_spawn(3) of the C library through ctypes. Touches processes.

`os.posix_spawn` holds the interpreter's lock until the program runs, so a program on a
hanging mount would block the whole runner. It also cannot set a directory. Here other
threads continue during the call, and the child enters the directory (`addchdir_np`:
glibc 2.29, musl 1.1.24).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from functools import cache, lru_cache
from weakref import finalize

# From spawn.h on Linux; glibc and musl have the same numbers.
_SETPGROUP, _SETSIGDEF, _SETSIGMASK, _SETSID = 0x02, 0x04, 0x08, 0x80
_ROOM = 512  # bytes for each structure of the C library; the largest takes 336


class Leads(Enum):
    """What a child leads: a session, or only a process group in the runner's session."""

    SESSION = _SETSID
    GROUP = _SETPGROUP


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)  # unlike PyDLL, it releases the interpreter's lock


@cache
def _memory_only() -> ctypes.PyDLL:
    """Return the library for calls that only touch memory: they keep the interpreter's lock.

    To give it up and get it back takes longer than such a call, above all in a burst.
    """
    return ctypes.PyDLL(None)


@cache
def knows_directories() -> bool:
    """Return whether the C library can start a child in a directory."""
    return sys.platform == "linux" and hasattr(_library(), "posix_spawn_file_actions_addchdir_np")


@cache
def _attributes(leads: Leads) -> ctypes.Array[ctypes.c_char]:
    """Return the attributes of a child: what it leads, and default signal handling.

    Otherwise a child would inherit the ignored signals of this process: Python ignores
    SIGPIPE and SIGXFSZ, and the program that started the runner may ignore others.
    """
    library, attributes, signals = (
        _library(),
        ctypes.create_string_buffer(_ROOM),
        ctypes.create_string_buffer(_ROOM),
    )
    library.posix_spawnattr_init(attributes)
    flags = _SETSIGDEF | _SETSIGMASK | leads.value
    library.posix_spawnattr_setflags(attributes, ctypes.c_short(flags))
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
    stderr: int | None = None,
    stdin: int | None = None,
    directory: str | None = None,
    passed: Sequence[int] = (),
    leads: Leads = Leads.SESSION,
    during: AbstractContextManager[None] | None = None,
) -> int:
    """Start a program; return its pid.

    `output` becomes its stdout and, by default, its stderr; its default stdin is
    /dev/null. The `passed` descriptors stay open in it. The child begins inside
    the block `during`. Raises OSError, and ValueError for an argument or a variable that
    no program can receive.
    """
    folder, pid = None if directory is None else os.fsencode(directory), ctypes.c_int()
    errors = output if stderr is None else stderr
    actions = _FileActions.of(stdin, output, errors, folder, tuple(passed))
    path, given = os.fsencode(program), _strings(arguments)
    variables = _strings(_variables(environment))
    # glibc refuses a descriptor above the limit in an action, but not in posix_spawn.
    with during or nullcontext():
        error = _library().posix_spawn(
            ctypes.byref(pid), path, actions.content, _attributes(leads), given, variables
        )
    _check(error)
    return pid.value


class _FileActions:
    """What a child does with its descriptors and its directory. It never changes."""

    def __init__(
        self,
        stdin: int | None,
        output: int,
        stderr: int,
        folder: bytes | None,
        passed: tuple[int, ...],
    ) -> None:
        """Raises OSError."""
        library = _memory_only()
        self.content = actions = ctypes.create_string_buffer(_ROOM)
        _check(library.posix_spawn_file_actions_init(actions))
        # Not at exit: a thread that hangs in posix_spawn still uses it.
        finalize(self, library.posix_spawn_file_actions_destroy, actions).atexit = False
        _check(library.posix_spawn_file_actions_adddup2(actions, output, 1))
        _check(library.posix_spawn_file_actions_adddup2(actions, stderr, 2))
        # stdin last: if 0 to 2 are closed in this process, `output` may be one of them.
        if stdin is None:
            null = (b"/dev/null", os.O_RDONLY, 0)
            _check(library.posix_spawn_file_actions_addopen(actions, 0, *null))
        else:
            _check(library.posix_spawn_file_actions_adddup2(actions, stdin, 0))
        for descriptor in passed:
            # A copy of a descriptor to itself clears its close-on-exec flag.
            _check(library.posix_spawn_file_actions_adddup2(actions, descriptor, descriptor))
        if folder is not None:
            _check(library.posix_spawn_file_actions_addchdir_np(actions, folder))

    @staticmethod
    @lru_cache(maxsize=128)
    def of(
        stdin: int | None,
        output: int,
        stderr: int,
        folder: bytes | None,
        passed: tuple[int, ...],
    ) -> _FileActions:
        """Return the actions, prepared once for many children.

        The same few descriptors are used again and again, and the library makes five system
        calls to prepare them.
        """
        return _FileActions(stdin, output, stderr, folder, passed)


def _variables(environment: Mapping[str, str]) -> list[str]:
    if "" in environment or "=" in "".join(environment):
        raise ValueError("illegal environment variable name")
    return [f"{name}={value}" for name, value in environment.items()]


def _strings(texts: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    # All at once: encoding each variable alone took a third of a start's processor time.
    encoded = os.fsencode("\0".join([*texts, ""])).split(b"\0")[:-1]
    if len(encoded) != len(texts):
        raise ValueError("embedded null byte")
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


def _check(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))
