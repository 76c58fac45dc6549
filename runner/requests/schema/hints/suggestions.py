"""Suggestions for values that are wrong. Pure.

They appear in messages only; nothing acts on them.
"""

from __future__ import annotations

import re
import shlex
import signal
from datetime import timedelta
from typing import TYPE_CHECKING

import yaml

from runner.values import duration_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_LONGEST = 200
_BOOLEANS = {
    "yes": True,
    "y": True,
    "on": True,
    "true": True,
    "no": False,
    "n": False,
    "off": False,
    "false": False,
}
_UNITS = {
    word: milliseconds
    for milliseconds, words in (
        (1, "ms msec msecs millis millisecond milliseconds"),
        (1000, "s sec secs second seconds"),
        (60_000, "m min mins minute minutes"),
        (3_600_000, "h hr hrs hour hours"),
        (86_400_000, "d day days"),
        (604_800_000, "w wk wks week weeks"),
    )
    for word in words.split()
}
_SHELL = r"[|&;<>$`*?~(){}]"
_AMOUNT = r"(\d{1,6}(?:\.\d{1,3})?)\s*([a-z]+)[\s,]*"


def flow(value: object) -> str:
    """Write a value as YAML on one line.

    >>> flow({"frequency": "cron", "expression": "*/5 * * * *"})
    "{frequency: cron, expression: '*/5 * * * *'}"
    """
    text = yaml.safe_dump(
        value, default_flow_style=True, width=1_000_000, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def write(value: object) -> str | None:
    """Suggest a value if it is short enough to read."""
    text = flow(value)
    return f"write {text}" if len(text) <= _LONGEST and text.isprintable() else None


def write_entries(entries: Mapping[str, Any]) -> str | None:
    """Suggest entries of a mapping if they are short enough to read.

    >>> write_entries({"frequency": "minutely", "interval": 5})
    'write frequency: minutely, interval: 5'
    """
    suggestion = write(dict(entries))
    return suggestion and f"write {suggestion.removeprefix('write ')[1:-1]}"


def is_name_like(text: str) -> bool:
    """Report whether a text can be a request name."""
    return re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", text, re.ASCII) is not None


def scalar_text(value: object) -> str | None:
    """Return a scalar as the text of an environment variable."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def words_of(text: str) -> list[str]:
    """Split a command line into words; empty if it needs a shell or is malformed.

    >>> words_of("python3 post.py --all"), words_of("a | b")
    (['python3', 'post.py', '--all'], [])
    """
    if re.search(_SHELL, text) or not text.isprintable():
        return []
    try:
        return shlex.split(text)
    except ValueError:
        return []


def boolean(text: str) -> str | None:
    """Suggest a boolean for a YAML 1.1 word or a quoted boolean.

    >>> boolean("yes"), boolean("False")
    ('write true', 'write false, without quotes')
    """
    meant = _BOOLEANS.get(text.lower())
    if meant is None:
        return None
    return f"write {str(meant).lower()}" + (
        ", without quotes" if text.lower() in {"true", "false"} else ""
    )


def integer(text: str) -> str | None:
    """Suggest a number for a quoted one.

    >>> integer("5"), integer("5m")
    ('write 5, without quotes', None)
    """
    return (
        f"write {int(text)}, without quotes" if re.fullmatch(r"\d{1,9}", text, re.ASCII) else None
    )


def duration(text: str) -> str | None:
    """Suggest a duration in our notation.

    >>> duration("30 minutes"), duration("2 moons")
    ('write 30m', None)
    """
    meant = duration_meant(text)
    return meant and f"write {meant}"


def duration_meant(text: str) -> str | None:
    """Return a duration in our notation, None if the text is not one.

    In ISO 8601, M before the T means months, which have no fixed length.

    >>> [duration_meant(text) for text in ("30 minutes", "1.5h", "30m1h", "PT30M", "P1DT2H")]
    ['30m', '1h30m', '1h30m', '30m', '1d2h']
    >>> [duration_meant(text) for text in ("P1M", "-5m", "2 moons")]
    [None, None, None]
    """
    if iso := re.fullmatch(
        r"p(\d+d)?(?:t((?:\d+h)?(?:\d+m)?(?:\d+s)?))?", text[:80].strip().lower(), re.ASCII
    ):
        text = f"{iso[1] or ''}{iso[2] or ''}"
    plain = re.sub(r"^\+", "", text[:80].strip().lower())
    amounts = re.findall(_AMOUNT, plain, re.ASCII)
    if not re.fullmatch(f"({_AMOUNT})+", plain, re.ASCII) or any(
        unit not in _UNITS for _, unit in amounts
    ):
        return None
    total = sum(float(amount) * _UNITS[unit] for amount, unit in amounts)
    return duration_text(timedelta(milliseconds=round(total)))


def signal_name(number: int) -> str | None:
    """Suggest the name of a signal.

    >>> signal_name(9)
    'write KILL'
    """
    names = {each.value: each.name.removeprefix("SIG") for each in signal.Signals}
    return f"write {names[number]}" if number in names else None


def command(text: str) -> str | None:
    """Suggest a command line as a list, or as `shell` if it needs one.

    >>> command("python3 post.py --all"), command("a | b")
    ('write [python3, post.py, --all]', 'write shell: a | b')
    """
    words = words_of(text)
    return write(words) if words else write_entries({"shell": text})


def mapping(text: str, schema: Mapping[str, Any]) -> str | None:
    """Suggest the mapping that a text may stand for.

    Either `key: value` with a missing colon or blank, or the value of a required key.

    >>> mapping("shell x", {"properties": {"shell": {"type": "string"}}})
    'write {shell: x}'
    """
    if len(text) > _LONGEST or not text.isprintable():
        return None
    properties = schema.get("properties", {})
    match = re.fullmatch(r"(\w+)\s*(?::|\s)\s*(\S.*)", text)
    if match and properties.get(match[1], {}).get("type") == "string":
        return write({match[1]: match[2]})
    for key in schema.get("required", ()):
        own = properties.get(key, {})
        if own.get("title", "").startswith("a date"):
            continue
        if text in own.get("enum", ()) or re.search(own.get("pattern", "(?!)"), text):
            return write({key: text})
    return write({"shell": text}) if "shell" in properties else None


def unlisted(items: list[object], schema: Mapping[str, Any]) -> str | None:
    """Suggest the mapping that a list may stand for.

    Either the list's only entry, or a mapping of names from NAME=value entries.

    >>> unlisted([{"shell": "x"}], {"properties": {"shell": {}}}), unlisted(["PORT=8080"], {})
    ('leave out the `-`', "write {PORT: '8080'}")
    """
    known = schema.get("properties")
    if (
        len(items) == 1
        and isinstance(items[0], dict)
        and (known is None or items[0].keys() <= known.keys())
    ):
        return "leave out the `-`"
    if known is not None:
        return None
    pairs = [item.partition("=") for item in items[:20] if isinstance(item, str) and "=" in item]
    return (
        write({name: value for name, _, value in pairs})
        if pairs and len(pairs) == len(items)
        else None
    )
