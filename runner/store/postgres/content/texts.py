"""Text that PostgreSQL cannot hold, in a form that it can. Pure.

PostgreSQL refuses the character NUL and text that is not UTF-8, such as some file names.
Such a character becomes DLE, the four hexadecimal digits of its number, and nothing else
changes. All texts of the fleet's tables go through here.
"""

from __future__ import annotations

import re

_ESCAPE = "\x10"
_UNFIT = re.compile("[\0\x10\ud800-\udfff]")
_ESCAPED = re.compile("\x10([0-9a-f]{4})")


def to_sql(text: str) -> str:
    """Return a text that PostgreSQL can hold, from which `to_text` makes this one again.

    >>> to_sql("a\\0b")
    'a\\x100000b'
    """
    if not _UNFIT.search(text):
        return text
    return _UNFIT.sub(lambda match: f"{_ESCAPE}{ord(match[0]):04x}", text)


def to_text(text: str) -> str:
    """Return the text from which `to_sql` made this one.

    >>> to_text(to_sql("a\\0\\x10\\udcff")) == "a\\0\\x10\\udcff"
    True
    """
    if _ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
