"""The bytes of one file, read within bounds. Reads files.

A pipe, a device, a huge file or a file that changes meanwhile cannot block, crash or
flood the reader.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from runner.system.regular_files import (
    NotRegularError,
    Signature,
    kind_of,
    open_regular,
    signature_of,
    size_text,
)
from runner.system.trust import Objection, Trust, UntrustedError

LARGEST = 1 << 20
"""Maximum size of a file, in bytes."""
_ATTEMPTS = 3
_LASTING = frozenset(
    {
        None,
        errno.EACCES,
        errno.EPERM,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENXIO,
    }
)
"""Errors that last until the file changes.

ENXIO comes from a socket, None from a name that `open` refuses (ValueError).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a file or folder cannot be read.

    With `is_folder` it concerns everything below. With `may_pass` the same file may
    become readable without a change, so it is read again. With `is_untrusted` only root
    refuses it, because another user may change it.
    """

    reason: str
    suggestion: str | None = None
    is_folder: bool = False
    may_pass: bool = False
    is_untrusted: bool = False


FileBytes = tuple[bytes, Signature | None]
"""The bytes of a file, and its signature at that time.

The signature is None for a file that changed during every attempt.
"""


def signature_at(path: str) -> Signature | None:
    """Return the signature of the file at `path`, None if there is none."""
    try:
        return signature_of(os.stat(path))  # noqa: PTH116 (a Path for each of 10,000 files takes longer than the stat)
    except (OSError, ValueError):
        return None


def read_bounded(path: str, trust: Trust | None = None) -> FileBytes | Trouble:
    """Read a regular file of at most `LARGEST` bytes; retry if it changes meanwhile.

    Never blocks on a pipe. With `trust`, refuses every file outside that trust.
    """
    content: FileBytes | Trouble = Trouble(reason="it does not exist")
    for _ in range(_ATTEMPTS):
        try:
            content = _read_once(trust.vetted(path) if trust else path)
        except UntrustedError as error:
            return untrusted(error.objection, is_folder=False)
        except (OSError, ValueError) as error:
            may_pass = getattr(error, "errno", None) not in _LASTING
            return Trouble(reason=f"it cannot be read: {reason_of(error)}", may_pass=may_pass)
        if isinstance(content, Trouble) or content[1] is not None:
            return content
    return content


def _read_once(path: str) -> FileBytes | Trouble:
    """Read a file once; the signature is None if the file changed meanwhile."""
    try:
        descriptor = open_regular(path)
    except NotRegularError as error:
        return Trouble(reason=str(error.strerror))
    try:
        before = os.fstat(descriptor)
        if objection := trouble_with(before):
            return objection
        # One byte more than expected shows growth; a shorter result shows truncation.
        raw = os.read(descriptor, before.st_size + 1)
        is_whole = len(raw) == before.st_size and signature_of(
            os.fstat(descriptor)
        ) == signature_of(before)
        return raw, signature_of(before) if is_whole else None
    finally:
        os.close(descriptor)


def trouble_with(status: os.stat_result) -> Trouble | None:
    """Return why a file cannot be read because of its type or size."""
    if not stat.S_ISREG(status.st_mode):
        return Trouble(reason=f"it is {kind_of(status)}, not a file")
    return _too_large() if status.st_size > LARGEST else None


def untrusted(objection: Objection, *, is_folder: bool) -> Trouble:
    """Return why root does not read a file or folder."""
    reason = f"root does not read {'the folder' if is_folder else 'it'}: {objection.reason}"
    return Trouble(
        reason=reason,
        suggestion=objection.suggestion,
        is_folder=is_folder,
        is_untrusted=True,
    )


def _too_large() -> Trouble:
    return Trouble(reason=f"it is larger than {size_text(LARGEST)}", suggestion="split it")


def reason_of(error: OSError | ValueError) -> str:
    """Return an error of the file system in words."""
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
