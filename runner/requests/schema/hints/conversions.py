"""The process settings of other programs, converted to our keys and values. Pure.

Each function takes a value and the mapping around it, and returns the entries to write.
None means that the meaning is uncertain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from runner.requests.dates import parse_entry
from runner.requests.schema.hints import suggestions
from runner.values import duration_text, parse_duration, parse_size

Around = Mapping[str, Any]
Entries = dict[str, Any]
Convert = Callable[[Any, Around], Entries | None]

_LINE = re.compile(r"[^#&;\\\n]{1,100}", re.ASCII)
"""A shell line that `&&` may join with another."""
_ARGUMENTS = ("args", "arguments", "argv")
_PROGRAMS = ("command", "cmd", "exec", "program", "entrypoint", "executable", "script", "run")


def kept(key: str, kind: type = str) -> Convert:
    """Return a conversion that only renames a key, for values of one type."""
    return lambda value, _: {key: value} if type(value) is kind and value != "" else None


def dates(key: str) -> Convert:
    """Return a conversion that only renames a key, for a list of dates."""
    return lambda value, _: {key: value} if isinstance(value, list) and _are_dates(value) else None


def _are_dates(values: list[Any]) -> bool:
    try:
        return bool([parse_entry(value) for value in values])
    except (ValueError, TypeError):
        return False


def constant(meanings: Mapping[Any, Entries]) -> Convert:
    """Return a conversion of a few values, compared as text without case, `_`, `-` and blanks."""
    return lambda value, _: meanings.get(re.sub("[-_ ]", "", str(value)).lower())


def command(value: Any, around: Around) -> Entries | None:
    """Convert a command line or a list, together with the arguments beside it."""
    if any(each in around for each in _ARGUMENTS):
        return arguments(None, around)
    if isinstance(value, list):
        return (
            {"command": value} if value and all(isinstance(each, str) for each in value) else None
        )
    return _action(value)


def _action(value: Any) -> Entries | None:
    if not isinstance(value, str) or not value.strip():
        return None
    words = suggestions.words_of(value)
    return {"command": words} if words else {"shell": value}


def condition(value: Any, _: Around) -> Entries | None:
    """Convert a command line that decides whether the process runs."""
    action = _action(value)
    return {"if": action} if action else None


def shell(value: Any, around: Around) -> Entries | None:
    """Convert shell lines; a list of lines runs until one fails."""
    if any(each in around for each in _ARGUMENTS):
        return arguments(None, around)
    if isinstance(value, list):
        if not value or not all(isinstance(line, str) and _LINE.fullmatch(line) for line in value):
            return None
        return {"shell": " && ".join(value)}
    return {"shell": value} if isinstance(value, str) and value.strip() else None


def arguments(_: Any, around: Around) -> Entries | None:
    """Join a program with the arguments beside it."""
    programs = [around[each] for each in _PROGRAMS if each in around]
    values = [around[each] for each in _ARGUMENTS if each in around]
    if len(programs) != 1 or len(values) != 1:
        return None
    lists = [_words(programs[0]), _words(values[0])]
    return (
        None if None in lists else {"command": [word for words in lists if words for word in words]}
    )


def _words(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return suggestions.words_of(value)
    return (
        value if isinstance(value, list) and all(isinstance(each, str) for each in value) else None
    )


def joined_with(around: Around) -> tuple[str, ...]:
    """Return the keys that `arguments` joins."""
    return tuple(each for each in around if each in (*_PROGRAMS, *_ARGUMENTS))


def environment(value: Any, _: Around) -> Entries | None:
    """Convert a mapping, a list of NAME=value, or Kubernetes' list of names and values."""
    pairs: dict[str, Any] = {}
    for item in value if isinstance(value, list) else ():
        match item:
            case str() if "=" in item:
                name, _sign, text = item.partition("=")
                pairs[name] = text
            case {"name": str(name), "value": text} if len(item) == 2:
                pairs[name] = text
            case _:
                return None
    if isinstance(value, dict):
        pairs = value
    texts = {name: suggestions.scalar_text(text) for name, text in pairs.items()}
    return {"environment": texts} if texts and None not in texts.values() else None


def run_as(value: Any, _: Around) -> Entries | None:
    """Convert `user` or `user:group`."""
    user, sign, group = str(value).partition(":")
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int)
        or not user
        or (sign and not group)
    ):
        return None
    return {"run_as": {"user": user, **({"group": group} if sign else {})}}


def duration(key: str, unit_s: int | None = None) -> Convert:
    """Return a conversion of a duration.

    A bare number converts only with `unit_s`, the seconds of its unit.
    """

    def convert(value: Any, _: Around) -> Entries | None:
        if isinstance(value, int) and not isinstance(value, bool) and unit_s and value > 0:
            return {key: duration_text(timedelta(seconds=value * unit_s))}
        text = suggestions.duration_meant(value) if isinstance(value, str) else None
        return {key: text} if text and parse_duration(text) else None

    return convert


def retry(further: int) -> Convert:
    """Return a conversion of a number of attempts.

    `further` are the attempts that the number leaves out: 1 for a number of retries.
    """

    def convert(value: Any, _: Around) -> Entries | None:
        is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return {"retry": {"attempts": value + further}} if is_number else None

    return convert


def days_kept(value: Any, _: Around) -> Entries | None:
    """Convert the number of days for which outputs are kept."""
    return {"retention": {"keep_for": f"{value}d"}} if _is_number(value) else None


def runs_kept(value: Any, _: Around) -> Entries | None:
    """Convert the number of executions whose outputs are kept."""
    return {"retention": {"keep_count": value}} if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 < value <= 36525


def memory(value: Any, _: Around) -> Entries | None:
    """Convert a size; Kubernetes' Mi is our MiB."""
    text = re.sub(r"(?<=[KMGT])i$", "iB", value) if isinstance(value, str) else ""
    try:
        return {"limits": {"memory": text}} if parse_size(text) else None
    except ValueError:
        return None


def unschedule_after(value: Any, _: Around) -> Entries | None:
    """Convert a maximum number of failures in a row."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return {"on_failure": {"unschedule_after": value}} if is_number else None


def members(value: Any, _: Around) -> Entries | None:
    """Convert steps, each a name and a command, that run in order until one fails."""
    found: list[Entries] = []
    for step in value if isinstance(value, list) else ():
        match step:
            case {"name": str() as name, **rest} if len(rest) == 1:
                ((key, line),) = rest.items()
                convert = {"command": command, "run": shell, "script": shell, "shell": shell}.get(
                    str(key)
                )
                action = convert(line, {}) if convert else None
            case str() as name if suggestions.is_name_like(name):
                found.append({"request": name})
                continue
            case _:
                return None
        if action is None or not name:
            return None
        found.append({"name": name, **action})
    return {"group": {"members": found, "stop_on_failure": True}} if found else None


def one_of(*conversions: Convert) -> Convert:
    """Return a conversion that tries several and takes the first result."""
    return lambda value, around: next(
        filter(None, (each(value, around) for each in conversions)), None
    )
