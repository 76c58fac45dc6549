r"""What a file of NAME=value lines says, as systemd's EnvironmentFile= reads it
(systemd.exec(5)). Pure.

Blank lines and lines that begin with `#` or `;` are ignored. An unquoted value ends
with its line and is stripped; a backslash keeps the next character literally and joins
lines. Single quotes keep every character literally. In double quotes a backslash
escapes `"`, `\`, `` ` ``, `$` and a line end. Quoted values may span lines, and text
after a quote is appended. Nothing is expanded.

Two differences from systemd: a name may follow `export`, as in a shell file, and any
other line is an error.
"""

from __future__ import annotations

import re

# Possessive quantifiers (`*+`) never backtrack, so a hostile file of a megabyte stays
# linear. They repeat single characters only: before 3.11.5, Python loses its place when a
# possessive group fails halfway (github.com/python/cpython/issues/106052). `_end_of`
# repeats the groups.
_NOTHING = re.compile(r"[ \t]*+(?:[#;][^\n\r]*+)?(?:[\n\r]|\Z)")
_NAME = re.compile(r"[ \t]*+(?:export[ \t]++(?!=))?([^\s=]++)[ \t]*+=[ \t]*+")
_GOOD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BLANKS = re.compile(r"[ \t]*+")
_IN_SINGLE = re.compile(r"[^']++")
_IN_DOUBLE = re.compile(r'[^"\\]++|\\.', re.DOTALL)
_IN_BARE = re.compile(r"[^\\\n\r \t]++|\\(?:\r\n|.)|[ \t]++(?![\n\r]|\Z)", re.DOTALL)
_ESCAPED = re.compile(r"\\(\r\n|.)", re.DOTALL)
_ENDS = ("\n", "\r", "\r\n")


def parse(text: str) -> dict[str, str]:
    r"""Return the variables of a file; of two lines with one name the later counts.

    Raises ValueError, worded for people, with the line, and without anything that could
    be of a value.

    >>> parse("# ours\nexport ERP_URL=https://erp.example\nGREETING='hello world'\n")
    {'ERP_URL': 'https://erp.example', 'GREETING': 'hello world'}
    """
    variables: dict[str, str] = {}
    at = 0
    while at < len(text):
        if nothing := _NOTHING.match(text, at):
            at = nothing.end()
            continue
        name, begin = _name(text, at)
        variables[name], at = _value(text, begin)
        if "\0" in variables[name]:
            raise _error(text, begin, "a variable cannot contain NUL")
    return variables


def _name(text: str, at: int) -> tuple[str, int]:
    """Return the assigned name and the offset of its value."""
    found = _NAME.match(text, at)
    if not found:
        raise _error(text, at, "this line is not NAME=value; a value of several lines needs quotes")
    if not _GOOD_NAME.fullmatch(found[1]):
        raise _error(
            text, at, "the text before `=` is not a name: letters, digits and `_`, no digit first"
        )
    return found[1], found.end()


def _value(text: str, at: int) -> tuple[str, int]:
    """Return a value, quoted and unquoted parts joined, and the offset of its end."""
    parts = []
    while (quote := text[at : at + 1]) in {"'", '"'}:
        end = _end_of(_IN_SINGLE if quote == "'" else _IN_DOUBLE, text, at + 1)
        if text[end : end + 1] != quote:
            raise _error(text, at, "the quote that is opened here is never closed")
        quoted = text[at + 1 : end]
        parts.append(quoted if quote == "'" else _ESCAPED.sub(_in_double_quotes, quoted))
        at = _end_of_blanks(text, end + 1)
    end = _end_of(_IN_BARE, text, at)
    parts.append(_ESCAPED.sub(_outside, text[at:end]))
    return "".join(parts), _end_of_blanks(text, end)


def _end_of(part: re.Pattern[str], text: str, at: int) -> int:
    """Return the offset after as many parts as follow `at`. A part is never empty."""
    while found := part.match(text, at):
        at = found.end()
    return at


def _end_of_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    assert blanks  # matches the empty string too
    return blanks.end()


def _in_double_quotes(escape: re.Match[str]) -> str:
    if escape[1] in _ENDS:
        return ""
    return escape[1] if escape[1] in '"\\`$' else escape[0]


def _outside(escape: re.Match[str]) -> str:
    return "" if escape[1] in _ENDS else escape[1]


def _error(text: str, at: int, message: str) -> ValueError:
    return ValueError(f"line {text.count(chr(10), 0, at) + 1}: {message}")
