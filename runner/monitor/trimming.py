"""Makes JSON text safe as one line of a log, and shortens long records. Pure."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable

LIMIT = 32 * 1024
"""A line with its newline is shorter than this many bytes.

fluent-bit stops reading a file that contains a longer one (its Buffer_Max_Size).
"""
_ELLIPSIS = "…"
_KEPT = frozenset({"v", "id", "time", "event"})
# Characters that JSON allows unescaped, although some programs split lines at them
# (U+2028, U+2029) and terminals obey them (DEL, C1 controls); and lone surrogates, which
# UTF-8 cannot encode. Compiled at its first use: compiling takes milliseconds.
_UNSAFE = "[\x7f-\x9f\u2028\u2029\ud800-\udfff]"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def finite(text: str) -> str:
    """Replace NaN and the infinities by null. Python writes them, but JSON has none."""
    # A string may contain these words, too. Decoding and encoding leaves it as it is.
    if "NaN" in text or "Infinity" in text:
        return _encode(json.loads(text, parse_constant=lambda _: None))
    return text


def encoded(text: str) -> bytes:
    r"""Encode JSON text as a line of UTF-8 with its "\n".

    Escape unsafe characters and replace lone surrogates.
    """
    if not text.isascii() or "\x7f" in text:
        text = re.sub(_UNSAFE, _safe, text)
    return text.encode() + b"\n"


def _safe(match: re.Match[str]) -> str:
    code = ord(match[0])
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"


def trimmed(record: dict[str, object]) -> bytes:
    """Return a record as a line below the limit. Change `record` itself.

    Shorten the output's tail first, and keep as much of it as fits. If that is not
    enough, shorten the message, then the problems. At last cut every long text and list,
    shorter each time.
    """
    _cut_hopeless(record)
    for shorten in (_shorten_tail, _shorten_message, _shorten_problems):
        shorten(record)
        if len(line := _line(record)) < LIMIT:
            return line
    for characters, items in ((4096, 500), (1024, 100), (256, 20), (64, 0)):
        for name in record.keys() - _KEPT:
            record[name] = _cut(record[name], characters, items)
        if len(line := _line(record)) < LIMIT:
            break
    return line


def _line(record: dict[str, object]) -> bytes:
    return encoded(_encode(record))


def _cut_hopeless(record: dict[str, object]) -> None:
    """Cut values too long for any line, so that the search for a fit is cheap."""
    if isinstance(tail := record.get("output_tail"), str):
        record["output_tail"] = tail[-LIMIT:]
    for name in record.keys() - _KEPT - {"output_tail"}:
        record[name] = _cut(record[name], LIMIT, LIMIT)


def _shorten_tail(record: dict[str, object]) -> None:
    tail = record.get("output_tail")
    if isinstance(tail, str) and tail:
        _keep_most(record, "output_tail", len(tail), lambda kept: tail[len(tail) - kept :])
        record["output_truncated"] = True


def _shorten_message(record: dict[str, object]) -> None:
    message = record.get("message")
    if isinstance(message, str):
        _keep_most(record, "message", len(message), lambda kept: message[:kept] + _ELLIPSIS)


def _shorten_problems(record: dict[str, object]) -> None:
    if isinstance(problems := record.get("problems"), list):
        short = _cut(problems, 500, LIMIT)
        assert isinstance(short, list)
        _keep_most(record, "problems", len(short), lambda kept: short[:kept])


def _keep_most(
    record: dict[str, object], name: str, most: int, part: Callable[[int], object]
) -> None:
    """Set a field to the longest `part(kept)` with which the record fits.

    `kept` is at most `most`. If the record does not fit even with `part(0)`, keep that.
    """

    def length(kept: int) -> int:
        record[name] = part(kept)
        return len(_line(record))

    # A binary search: the length grows with `kept`, and each measurement encodes the
    # whole record.
    if length(0) < LIMIT:
        record[name] = part(bisect_right(range(most + 1), LIMIT - 1, key=length) - 1)


def _cut(value: object, characters: int, items: int) -> object:
    match value:
        case str() if len(value) > characters:
            return value[:characters] + _ELLIPSIS
        case list():
            return [_cut(item, characters, items) for item in value[:items]]
        case dict():
            return {
                key[:characters]: _cut(item, characters, items)
                for key, item in list(value.items())[:items]
            }
        case _:
            return value
