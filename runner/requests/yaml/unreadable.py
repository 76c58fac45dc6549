"""The error for a text that cannot be read as YAML, and positions in a text. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runner.requests.findings import Spot

if TYPE_CHECKING:
    from runner.requests.findings import Mark

# A pattern, not compiled at import: compiling takes milliseconds and is rarely needed.
_BREAK = "\r\n|[\n\r\x85\u2028\u2029]"
DEEPEST = 32
"""Maximum nesting depth of lists and mappings."""


class UnreadableError(Exception):
    """A text that is not YAML as read here; it becomes the file's Problem."""

    def __init__(
        self,
        message: str,
        *,
        suggestion: str | None = None,
        at: Mark | None = None,
        spot: Spot | None = None,
    ) -> None:
        super().__init__(message)
        self.suggestion = suggestion
        self.spot = spot or Spot(line=at.line + 1 if at else 1, column=at.column + 1 if at else 1)


def too_deep(at: Mark | None = None, spot: Spot | None = None) -> UnreadableError:
    """Return the error for nesting deeper than `DEEPEST`."""
    return UnreadableError(f"this is nested deeper than {DEEPEST} levels", at=at, spot=spot)


def decoded(raw: bytes) -> str:
    """Decode a file as UTF-8, without a byte order mark.

    Raises UnreadableError.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            message = f"the byte 0x{raw[0]:02x} is not UTF-8: this looks like UTF-16"
            raise UnreadableError(message, suggestion="save the file as UTF-8") from None
        # The codec skips the byte order mark, and `error.start` counts from after it.
        before = error.object[: error.start].decode("utf-8", errors="replace")
        message = f"the byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise UnreadableError(
            message, suggestion="save the file as UTF-8", spot=end_of(before)
        ) from None


def end_of(text: str) -> Spot:
    """Return the position after the last character of a text."""
    lines = lines_of(text)
    return Spot(line=len(lines), column=len(lines[-1]) + 1)


def lines_of(text: str) -> list[str]:
    """Split a text into lines as the parser counts them."""
    return re.split(_BREAK, text)


def line_of(text: str, number: int) -> str:
    """Return a line of a text by its number, from 0; empty if there is none."""
    lines = re.split(_BREAK, text, maxsplit=number + 1)
    return lines[number] if number < len(lines) else ""
