"""Why a file cannot be read as YAML, told to whoever wrote it. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from runner.requests.findings import Spot

if TYPE_CHECKING:
    import yaml

    from runner.requests.findings import Mark

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BEGINS_SOMETHING = {
    "@": "`@` is reserved in YAML and begins no text",
    "`": "a backtick is reserved in YAML and begins no text",
    "%": "`%` begins a directive in YAML and no text",
}
_SIGILS = {"while scanning an alias": "`*` begins an alias in YAML", "while scanning an anchor": "`&` begins an anchor"}


class UnreadableError(Exception):
    """A text is no YAML that is read here; caught where the file's Problem is made."""

    def __init__(
        self, message: str, *, suggestion: str | None = None, at: Mark | None = None, spot: Spot | None = None
    ) -> None:
        super().__init__(message)
        self.suggestion = suggestion
        self.spot = spot or Spot(line=at.line + 1 if at else 1, column=at.column + 1 if at else 1)


def decoded(raw: bytes) -> str:
    """Return the text of a file in UTF-8, without a byte order mark. Raises UnreadableError."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from behind the byte order mark that it has skipped.
        before = error.object[: error.start].decode("utf-8", errors="replace")
        message = f"the byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise UnreadableError(message, suggestion="save the file as UTF-8", spot=_end_of(before)) from None


def explained(error: yaml.YAMLError, text: str) -> UnreadableError:
    """Return the error with its place, and with what would be right where that can be told."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return _control_character(error, text)
    context, problem = str(error.context or ""), str(error.problem)  # type: ignore[attr-defined]
    start = error.context_mark if context in _SIGILS else mark  # type: ignore[attr-defined]
    line = _line(text, start.line)
    value, character = line[start.column :].strip(), line[start.column : start.column + 1]
    if context in _SIGILS:
        return UnreadableError(_SIGILS[context], suggestion=_quoted(value), at=start)
    if "cannot start any token" in problem and character in _BEGINS_SOMETHING:
        return UnreadableError(_BEGINS_SOMETHING[character], suggestion=_quoted(value), at=start)
    if "cannot start any token" in problem and character == "\t":
        return UnreadableError("a tab cannot indent", suggestion="indent with spaces", at=start)
    if problem.startswith("mapping values are not allowed"):
        value = line.partition(": ")[2].strip() if ": " in line[: start.column] else ""
        return UnreadableError("a second `:` on one line begins no mapping", suggestion=_quoted(value), at=start)
    message, hint = f"this is not valid YAML: {problem} {context}".strip(), _hint(problem, error)
    is_behind_all = mark.index >= len(text.rstrip())
    if is_behind_all and "expected node content" in problem:
        hint = "a bracket that was opened is not closed"
    # The library counts a line more than there are where the last has no line break.
    return UnreadableError(message, suggestion=hint, at=start, spot=_end_of(text.rstrip()) if is_behind_all else None)


def _hint(problem: str, error: yaml.YAMLError) -> str | None:
    mark = getattr(error, "context_mark", None)
    opened = f"opened at line {mark.line + 1}" if mark else "that was opened"
    if "unexpected end of stream" in problem:
        return f"the quote {opened} is not closed"
    if "expected ',' or" in problem:
        return f"the bracket {opened} is not closed, or a comma is missing"
    if "could not find expected ':'" in problem or "did not find expected key" in problem:
        return "a `:` is missing, or a line is indented differently from its neighbours"
    return None


def _quoted(value: str) -> str:
    """Suggest quotes, spelled out where the value ends with its line for certain."""
    spelled = value.isprintable() and 0 < len(value) <= 80 and not re.search(r"[\]},#\"]", value)
    return f"quote it: {json.dumps(value, ensure_ascii=False)}" if spelled else "quote it"


def _control_character(error: yaml.YAMLError, text: str) -> UnreadableError:
    """Find what the library's reader refused; it only tells where in its own buffer that was."""
    found = _CONTROL.search(text)
    if found is None:
        return UnreadableError(f"this is not valid YAML: {str(error)[:200]}")
    message = f"the control character 0x{ord(found[0]):02x} is not allowed"
    return UnreadableError(message, suggestion="leave it out", spot=_end_of(text[: found.start()]))


def _end_of(text: str) -> Spot:
    return Spot(line=text.count("\n") + 1, column=len(text) - text.rfind("\n"))


def _line(text: str, number: int) -> str:
    """Return a line as the parser counts them."""
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text, maxsplit=number + 1)
    return lines[number] if number < len(lines) else ""
