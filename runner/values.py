"""Convert durations, sizes, ids and instants to text and back.

Pure, except that `new_id` reads the clock and draws random numbers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

# Compiled at their first use, because few commands need them.
_DURATION = r"(?a:(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?)"
_SIZE = r"(?a:(\d+)\s*(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB))"
_SIZE_UNITS = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_LONGEST_SHOWN = 60
_LONGEST = timedelta(days=36525)
# The spaces of Unicode (category Zs) other than U+0020; str.isprintable rejects them.
_BLANKS = (
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u202f\u205f\u3000"
)
_TO_BLANK = str.maketrans(_BLANKS, " " * len(_BLANKS))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def parse_duration(text: str) -> timedelta:
    """Read `500ms`, `30s`, `15m`, `2h`, `1d` or a combination, largest unit first: `1h30m`.

    Raises ValueError for any other text. Its message is for people, and asks for the unit
    of a bare number.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        raise ValueError(f"{shown} what? A duration needs a unit: {shown}s, {shown}m, {shown}h")
    match = re.fullmatch(_DURATION, text)
    if not match or not text:
        raise ValueError(
            f"{shown!r} is not a duration; "
            "write it like 500ms, 30s, 15m, 2h, 1d or a combination like 1h30m"
        )
    days, hours, minutes, seconds, milliseconds = (_bounded_int(group) for group in match.groups())
    try:
        duration = timedelta(
            days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
    except OverflowError:
        duration = timedelta.max
    if duration > _LONGEST:
        raise ValueError(f"{shown!r} is longer than a hundred years")
    return duration


def _bounded_int(digits: str | None) -> int:
    """Read at most 18 digits.

    A number that long exceeds the longest duration in any unit, and converting a million
    digits takes seconds.
    """
    return int((digits or "").lstrip("0")[:18] or "0")


def duration_text(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it, rounded down to milliseconds.

    >>> duration_text(timedelta(minutes=90))
    '1h30m'
    """
    milliseconds = duration // timedelta(milliseconds=1)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def clock_text(seconds: float) -> str:
    """Write seconds as the Process Monitor does, HH:MM:SS.mmm; hours do not wrap at 24.

    >>> clock_text(108000)
    '30:00:00.000'
    """
    milliseconds = round(seconds * 1000)
    sign, milliseconds = ("-" if milliseconds < 0 else ""), abs(milliseconds)
    hours, milliseconds = divmod(milliseconds, 3_600_000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{sign}{hours:02}:{minutes:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def parse_size(text: str) -> int:
    """Read `64KiB`, `10MB`, `512B` as bytes. Raises ValueError, worded for people."""
    match = re.fullmatch(_SIZE, text)
    if not match or len(match[1]) > 15:
        raise ValueError(f"{text!r} is not a size; write it like 64KiB, 10MB or 1GiB")
    return int(match[1]) * _SIZE_UNITS[match[2]]


def size_text(size: int) -> str:
    """Write bytes as `parse_size` reads them, in the largest unit that is exact.

    >>> size_text(512 << 20), size_text(10_000_000), size_text(1025)
    ('512MiB', '10MB', '1025B')
    """
    fitting = [
        unit
        for unit, factor in _SIZE_UNITS.items()
        if size >= factor and size % factor == 0 and unit != "KB"
    ]
    unit = max(fitting, key=_SIZE_UNITS.__getitem__, default="B")
    return f"{size // _SIZE_UNITS[unit]}{unit}"


def counted(number: int, noun: str, nouns: str = "") -> str:
    """Return a number of things in words.

    >>> counted(1, "file"), counted(2_000, "file"), counted(0, "process", "processes")
    ('1 file', '2,000 files', '0 processes')
    """
    return f"1 {noun}" if number == 1 else f"{number:,} {nouns or f'{noun}s'}"


def listed(words: Iterable[str], most: int) -> str:
    """Return words as a list, each once, shortened if there are more than `most`.

    >>> listed(["a", "b", "a", "c"], 2)
    'a, b and 1 more'
    """
    each = list(dict.fromkeys(words))
    more = f" and {len(each) - most:,} more" if len(each) > most else ""
    return ", ".join(each[:most]) + more


def rough_size_text(size: float) -> str:
    """Write bytes for a person: rounded, in the largest fitting unit.

    >>> rough_size_text(1023), rough_size_text(1536), rough_size_text(5 << 30)
    ('1023 B', '1.5 KiB', '5.0 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def new_id() -> str:
    """Return a new UUIDv7 (RFC 9562, 5.7); it sorts by its millisecond of creation."""
    from random import getrandbits  # few commands need it

    # From the left: 48 bits of milliseconds, the version (4 bits, 7), 12 random bits, the
    # variant (2 bits, binary 10), 62 random bits.
    milliseconds = f"{time.time_ns() // 1_000_000 & (2**48 - 1):012x}"
    bits = getrandbits(74)
    rest = f"{2 << 62 | bits & (2**62 - 1):016x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7{bits >> 62:03x}-{rest[:4]}-{rest[4:]}"


def short_commit(revision: str | None) -> str | None:
    """Return a commit id shortened for people, with its "-dirty" mark. Anything else is
    returned as is.
    """
    commit, mark, _ = (revision or "").partition("-dirty")
    is_id = len(commit) in (40, 64) and set(commit) <= set("0123456789abcdef")
    return f"{commit[:12]}{mark}" if is_id else revision


def instant_text(instant: datetime) -> str:
    """Write an aware instant as RFC 3339 in UTC with microseconds.

    >>> instant_text(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000000Z'
    """
    utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant with an offset, as `instant_text` writes it.

    Raises ValueError for a text without an offset.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset")
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def to_microseconds(instant: datetime) -> int:
    """Return the exact microseconds since 1970-01-01T00:00Z; a float would round them."""
    return (instant - EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Return the UTC instant that is so many microseconds after 1970-01-01T00:00Z."""
    return EPOCH + timedelta(microseconds=microseconds)


def neutral(text: str) -> str:
    r"""Escape every character with which a text could control a terminal or break a line.

    These are the characters that Unicode calls unprintable: control characters (C0, C1,
    newlines), characters that change the direction or have no width, line separators, and
    surrogates (bytes that are not UTF-8). Spaces of other widths become plain spaces.

    >>> print(neutral("a\x1b[31m\nb\u202e \udcff"))
    a\x1b[31m\x0ab\u202e \xff
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else _escape(each) for each in text.translate(_TO_BLANK)
    )


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8 (PEP 383)
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
