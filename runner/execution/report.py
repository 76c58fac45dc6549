"""What the launcher, its supervisor or a callable told the runner, read when the execution has ended. Touches memory
that is shared with them as a file: nobody ever waits for the other, and nothing is left when both are gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fcntl import F_DUPFD_CLOEXEC, fcntl

from runner.execution.masking import Masker

_LONGEST_READ = 65536
_FIRST_OWN = 3  # the standard ones may be closed here
_LONGEST_TEXT = 8192  # what a callable tells at most; of something longer the end is missing
_LONGEST_SHOWN = 1024
_ELLIPSIS = "…".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was told: why nothing could be started, what a callable returned or raised, whether stderr was used."""

    failure: str | None = None
    result: str | None = None
    has_stderr: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report that may still be written. `secrets` are shown in none of it."""

    descriptor: int
    secrets: frozenset[str]

    def read(self) -> Told:
        """Read what is there by now. The process may have written anything here: what makes no sense is dropped."""
        pieces = os.pread(self.descriptor, _LONGEST_READ, 0).split(b"\0")
        told = {kind: text for kind, colon, text in (piece.partition(b":") for piece in pieces) if colon}
        return Told(
            failure=self._shown(told.get(b"failure")),
            result=self._shown(told.get(b"result")),
            has_stderr=b"stderr" in told,
        )

    def close(self) -> None:
        """Give it up."""
        os.close(self.descriptor)

    def _shown(self, text: bytes | None) -> str | None:
        if text is None:
            return None
        masker = Masker(forms_of(self.secrets))
        shown = masker.feed(text[:_LONGEST_TEXT])
        if len(text) < _LONGEST_TEXT:  # else what is held back may be a secret of which the end is missing
            shown += masker.flush()
        return _cut(shown).decode("utf-8", "replace")


def open_report(secrets: frozenset[str]) -> Report:
    """Open an empty one. Raises OSError."""
    return Report(descriptor=memory_file("report"), secrets=secrets)


def memory_file(name: str) -> int:
    """Return the descriptor of an empty file that nobody else can open, none of the standard ones. Raises OSError."""
    descriptor = os.memfd_create(name)
    try:
        return fcntl(descriptor, F_DUPFD_CLOEXEC, _FIRST_OWN)
    finally:
        os.close(descriptor)


def forms_of(secrets: Iterable[str]) -> list[bytes]:
    """Return secrets as they stand, as they stand in a repr (a traceback shows those), and in JSON (many a log is).

    In bytes, as a program writes them. Raises UnicodeEncodeError for one that no program can be given.
    """
    return [form.encode("utf-8", "surrogateescape") for secret in secrets for form in _forms_of(secret)]


def _forms_of(secret: str) -> set[str]:
    json_forms = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    return {secret, repr(secret)[1:-1], *json_forms}


def _cut(text: bytes) -> bytes:
    if len(text) <= _LONGEST_SHOWN:
        return text
    return text[: _LONGEST_SHOWN - len(_ELLIPSIS)].decode("utf-8", "ignore").encode() + _ELLIPSIS
