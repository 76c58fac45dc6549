"""The report that a launcher, a supervisor or a callable writes for the runner.

The runner reads it when the execution has ended. A report is a file in memory
(memfd_create(2)) that both processes have open: neither ever waits for the other, as
with a full pipe, and the file disappears with the last of them. Touches that file.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fcntl import F_DUPFD_CLOEXEC, fcntl
from urllib.parse import quote_from_bytes

from runner.execution.child.masking import Masker

_NAME = "report"
_LONGEST_READ = 65536
_FIRST_OWN = 3  # 0 to 2 may be closed in this process, but a child opens them anew
_LONGEST_TEXT = 8192  # bytes; a callable writes no more and cuts a longer text
_LONGEST_SHOWN = 1024  # bytes
_SHORTEST_LINE = 8  # characters; many secrets have a line such as "{" or "users:"
# Bytes. Fewer give two or three base64 characters, which occur in any text.
_SHORTEST_IN_BASE64 = 4
_LINES_OF_BASE64 = (76, 64)  # line widths: of base64(1), and of PEM
_UNQUOTED = ("", "/", "!'()*")  # urllib's quote_plus and quote, JavaScript's encodeURIComponent
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_ELLIPSIS = "…".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """The content of a report."""

    condition: str | None = None
    """Why the condition kept the process from running: empty if it was not met, else how
    it failed. None if the process ran.
    """
    failure: str | None = None
    """Why the program could not be started."""
    result: str | None = None
    """What a callable returned or raised."""
    has_stderr: bool = False
    """Whether the program wrote to stderr."""
    failing_text: str | None = None
    """A text in the output that makes the execution a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report that its process may still write. `secrets` are masked in all texts."""

    descriptor: int
    secrets: frozenset[str]

    def read(self) -> ReportContent:
        """Read the current content.

        The user's process can write to the report as well, so ignore what is malformed.
        """
        pieces = os.pread(self.descriptor, _LONGEST_READ, 0).split(b"\0")
        content = {
            kind: text for kind, colon, text in (piece.partition(b":") for piece in pieces) if colon
        }
        return ReportContent(
            condition=self._shown(content.get(b"condition")),
            failure=self._shown(content.get(b"failure")),
            result=self._shown(content.get(b"result")),
            has_stderr=b"stderr" in content,
            failing_text=self._shown(content.get(b"output")),
        )

    def close(self) -> None:
        """Close the runner's side."""
        os.close(self.descriptor)

    def _shown(self, text: bytes | None) -> str | None:
        if text is None:
            return None
        masker = Masker(forms_of(self.secrets))
        shown = masker.feed(text[:_LONGEST_TEXT])
        # A text of full length was cut. Then the bytes that the masker holds back may be
        # a secret without its end, which no form matches; drop them.
        if len(text) < _LONGEST_TEXT:
            shown += masker.flush()
        return _cut(shown).decode("utf-8", "replace")


def open_report(secrets: frozenset[str]) -> Report:
    """Open an empty report. Raises OSError."""
    return Report(descriptor=memory_file(_NAME), secrets=secrets)


def report_left_by(pid: int) -> Report | None:
    """Open the report of a process that a former runner started, as long as it has one.

    The launcher has it open while it runs a condition. Of the content only `condition` is of
    use: the secrets to mask are unknown. Return None if there is none, or if this user may
    not look.
    """
    folder = f"/proc/{pid}/fd"
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - names are enough
            with suppress(OSError):  # closed since
                if _is_report(f"{folder}/{name}"):
                    return _opened_report(f"{folder}/{name}")
    return None


def _opened_report(link: str) -> Report | None:
    descriptor = os.open(link, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if _is_report(f"/proc/self/fd/{descriptor}"):  # still the same file
        return Report(descriptor=descriptor, secrets=frozenset())
    os.close(descriptor)
    return None


def _is_report(link: str) -> bool:
    return os.readlink(link).startswith(f"/memfd:{_NAME}")  # noqa: PTH115 - a link to no path


def memory_file(name: str) -> int:
    """Return a descriptor of an empty file in memory; never 0, 1 or 2. Raises OSError."""
    descriptor = os.memfd_create(name)
    try:
        return fcntl(descriptor, F_DUPFD_CLOEXEC, _FIRST_OWN)
    finally:
        os.close(descriptor)


def forms_of(secrets: Iterable[str]) -> list[bytes]:
    """Return the byte strings to mask: every usual form of each secret.

    These are the secret itself, its repr (tracebacks contain it), its JSON form, its
    base64 and its URL forms; for a secret of several lines also each line. Raises
    UnicodeEncodeError for a secret that cannot be an environment variable.
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
    """Yield the percent-encoded forms of a secret, in both cases (RFC 3986)."""
    for safe in _UNQUOTED:
        quoted = quote_from_bytes(raw, safe=safe)
        for form in (quoted, quoted.replace("%20", "+")):
            yield form.encode()
            yield re.sub("%..", lambda found: found[0].lower(), form).encode()


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """Yield the characters by which any base64 text shows a secret inside it (RFC 4648).

    Base64 encodes groups of three bytes, so a secret has three forms, by the number of
    bytes before it in its first group. Leave out a character that also encodes
    neighbouring bytes: it varies. After the secret, yield the form at the end of a text
    as well, where such a character encodes only the secret.
    """
    for before in range(3):
        encoded = b64encode(bytes(before) + raw)
        begin, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        yield encoded[begin:end]
        yield encoded[begin:].rstrip(b"=")
        yield encoded[begin:]
    # Wrapped lines, if the encoded text begins with the secret.
    for width in _LINES_OF_BASE64:
        encoded = b64encode(raw)
        wrapped = (encoded[at : at + width] for at in range(0, len(encoded), width))
        yield from (line for line in wrapped if len(line) >= _SHORTEST_LINE)


def _cut(text: bytes) -> bytes:
    if len(text) <= _LONGEST_SHOWN:
        return text
    return text[: _LONGEST_SHOWN - len(_ELLIPSIS)].decode("utf-8", "ignore").encode() + _ELLIPSIS
