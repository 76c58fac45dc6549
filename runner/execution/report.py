"""What the launcher, its supervisor or a callable told the runner, read when the
execution has ended. Touches memory that is shared with them as a file: nobody ever
waits for the other, and nothing is left when both are gone.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fcntl import F_DUPFD_CLOEXEC, fcntl
from urllib.parse import quote_from_bytes

from runner.execution.child.masking import Masker

_LONGEST_READ = 65536
_FIRST_OWN = 3  # the standard ones may be closed here
_LONGEST_TEXT = 8192  # what a callable tells at most; of something longer the end is missing
_LONGEST_SHOWN = 1024
_SHORTEST_LINE = 8  # characters: "{" or "users:", a line of many a secret, is none
_SHORTEST_IN_BASE64 = 4  # bytes: of fewer, two or three characters are left, which are in any text
_LINES_OF_BASE64 = (76, 64)
_UNQUOTED = ("", "/", "!'()*")  # urllib's quote_plus and quote, JavaScript's encodeURIComponent
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_ELLIPSIS = "…".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was told: why nothing could be started, what a callable returned or raised,
    whether stderr was used.
    """

    failure: str | None = None
    result: str | None = None
    has_stderr: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report that may still be written. `secrets` are shown in none of it."""

    descriptor: int
    secrets: frozenset[str]

    def read(self) -> Told:
        """Read what is there by now. The process may have written anything here: what
        makes no sense is dropped.
        """
        pieces = os.pread(self.descriptor, _LONGEST_READ, 0).split(b"\0")
        told = {
            kind: text for kind, colon, text in (piece.partition(b":") for piece in pieces) if colon
        }
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
        if (
            len(text) < _LONGEST_TEXT
        ):  # else what is held back may be a secret of which the end is missing
            shown += masker.flush()
        return _cut(shown).decode("utf-8", "replace")


def open_report(secrets: frozenset[str]) -> Report:
    """Open an empty one. Raises OSError."""
    return Report(descriptor=memory_file("report"), secrets=secrets)


def memory_file(name: str) -> int:
    """Return the descriptor of an empty file that nobody else can open, none of the
    standard ones. Raises OSError.
    """
    descriptor = os.memfd_create(name)
    try:
        return fcntl(descriptor, F_DUPFD_CLOEXEC, _FIRST_OWN)
    finally:
        os.close(descriptor)


def forms_of(secrets: Iterable[str]) -> list[bytes]:
    """Return what is masked for each secret, in bytes, as a program writes them.

    That is a secret as it stands, in a repr (a traceback shows those), in JSON (many a
    log is), in base64 and in a URL; of one with several lines also each line as it
    stands. Raises UnicodeEncodeError for one that no program can be given.
    """
    forms = {form for secret in secrets for form in _forms_of(secret)}
    return sorted(filter(None, forms))


def _forms_of(secret: str) -> Iterator[bytes]:
    lines = [line for line in map(str.strip, secret.splitlines()) if len(line) >= _SHORTEST_LINE]
    for text in (secret, *lines):
        for form in (
            text,
            repr(text)[1:-1],
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
        ):
            yield form.encode("utf-8", "surrogateescape")
    raw = secret.encode("utf-8", "surrogateescape")
    yield from _in_url(raw)
    if len(raw) >= _SHORTEST_IN_BASE64:
        for encoded in _in_base64(raw):
            yield from (encoded, encoded.translate(_URL_SAFE))


def _in_url(raw: bytes) -> Iterator[bytes]:
    """Yield a secret percent-encoded, as the usual functions do it, with upper and
    lower case digits (RFC 3986).
    """
    for safe in _UNQUOTED:
        quoted = quote_from_bytes(raw, safe=safe)
        for form in (quoted, quoted.replace("%20", "+")):
            yield form.encode()
            yield re.sub("%..", lambda found: found[0].lower(), form).encode()


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """Yield what a secret makes of any base64 text that it is in, at each of the three
    places it can begin (RFC 4648).

    Characters that the bytes around it have a part in are left out: behind it, unless
    it is the end of the text.
    """
    for before in range(3):
        encoded = b64encode(bytes(before) + raw)
        begin, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        yield encoded[begin:end]
        yield encoded[begin:].rstrip(b"=")
        yield encoded[begin:]
    for (
        width
    ) in _LINES_OF_BASE64:  # as base64(1) and PEM wrap it, if the text begins with the secret
        encoded = b64encode(raw)
        wrapped = (encoded[at : at + width] for at in range(0, len(encoded), width))
        yield from (line for line in wrapped if len(line) >= _SHORTEST_LINE)


def _cut(text: bytes) -> bytes:
    if len(text) <= _LONGEST_SHOWN:
        return text
    return text[: _LONGEST_SHOWN - len(_ELLIPSIS)].decode("utf-8", "ignore").encode() + _ELLIPSIS
