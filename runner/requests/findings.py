"""What is wrong at one path of a document, before its place in the file is known; how
values are shown. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.spelling import nearest_word

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any, Protocol

    class Mark(Protocol):
        """A place in a text as the YAML library tells it; all count from 0."""

        line: int
        column: int
        index: int


DataPath = tuple[str | int, ...]
DID_YOU_MEAN = "did you mean "
THAT_IS = "that is "
MOST_FINDINGS = 100
"""Of one document; beyond them more would only be noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place in a text; both count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong at `path`. `at_key` points at the key there, not at its
    value; `spot` overrules both.
    """

    path: DataPath
    message: str
    suggestion: str | None = None
    at_key: bool = False
    spot: Spot | None = None


def lies_below(path: DataPath, tops: Collection[DataPath]) -> bool:
    """Tell whether a path is one of `tops` or lies below one.

    >>> lies_below(("timing", "schedule"), {("timing",)})
    True
    """
    return bool(tops) and any(path[:length] in tops for length in range(len(path) + 1))


def beside(findings: Collection[Finding], others: Iterable[Finding]) -> list[Finding]:
    """Return some findings and, of others, those that do not concern what those concern already."""
    told = {finding.path for finding in findings if finding.path}
    return [*findings, *(each for each in others if not lies_below(each.path, told))]


def value_at(data: object, path: DataPath) -> object:
    """Return what lies at a path, or None if nothing does.

    >>> value_at({"process": {"shell": "x"}}, ("process", "shell"))
    'x'
    """
    for key in path:
        match data:
            case dict():
                data = data.get(key)
            case list() if isinstance(key, int) and key < len(data):
                data = data[key]
            case _:
                return None
    return data


def without(data: Any, paths: Collection[DataPath], at: DataPath = ()) -> Any:
    """Return data without the keys at some paths. Items of lists stay: the places of
    those behind them would change.

    >>> without({"process": {"shell": "x", "tymeout": "5s"}}, {("process", "tymeout")})
    {'process': {'shell': 'x'}}
    """
    match data:
        case dict():
            return {
                key: without(below, paths, (*at, key))
                for key, below in data.items()
                if (*at, key) not in paths
            }
        case list():
            return [without(item, paths, (*at, index)) for index, item in enumerate(data)]
    return data


def path_text(path: DataPath) -> str:
    """Write a path as people read it.

    >>> path_text(("timing", "schedule", "at", 0))
    'timing.schedule.at[0]'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{plain(part)}" for part in path)
    return text.removeprefix(".")


def plain(text: str, limit: int = 60) -> str:
    """Show a key or word on one line: what is not printable is escaped, what is too long is cut.

    >>> plain("a\\x1b[0m")
    'a\\\\u001b[0m'
    """
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return text if text.isprintable() else json.dumps(text)[1:-1]


def shown(value: object) -> str:
    """Show a value as one would write it in YAML; lists and mappings are only named.

    >>> shown("02:00"), shown(True), shown(None), shown([1])
    ('"02:00"', 'true', 'nothing', 'a list')
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f'"{plain(value)}"'
        case list():
            return "a list"
        case dict():
            return "a mapping"
    return plain(str(value))


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return "did you mean …?" if `word` is a misspelling of one of `words`."""
    meant = nearest_word(word, words)
    return f"{DID_YOU_MEAN}`{meant}`?" if meant else None


def without_consequences(findings: Collection[Finding]) -> Iterator[Finding]:
    """Leave out what only follows from a misspelt key: that the right one is missing there."""
    meant = {
        (finding.path[:-1], key)
        for finding in findings
        if finding.at_key and finding.suggestion
        for key in _keys_meant(finding.suggestion)
    }
    for finding in findings:
        if not any(finding.path == parent and key in finding.message for parent, key in meant):
            yield finding


def _keys_meant(suggestion: str) -> Iterator[str]:
    """Yield the keys, in backticks, that a suggestion for a wrong key puts in its place.

    >>> list(_keys_meant("did you mean `shell`?")), list(_keys_meant("write frequency: minutely, interval: 5"))
    (['`shell`'], ['`frequency`', '`interval`'])
    """
    if suggestion.startswith(DID_YOU_MEAN):
        yield suggestion.removeprefix(DID_YOU_MEAN).removesuffix("?")
    elif suggestion.startswith(THAT_IS):
        yield f"`{re.split(r'[.`]', suggestion.removesuffix('` here'))[-1]}`"
    elif suggestion.startswith("write "):
        outer = re.sub(r"\{.*\}|\[.*\]", "", suggestion)
        yield from (f"`{key}`" for key in re.findall(r"(?:^write |, )([a-z_]+): ", outer))


def subject_of(path: DataPath) -> str:
    """Name what lies at a path, as the subject of a sentence."""
    if not path:
        return "a request"
    if isinstance(path[-1], int):
        return f"`{plain(str(path[-2]))}[{path[-1]}]`" if len(path) > 1 else f"entry {path[-1]}"
    return f"`{plain(path[-1])}`"


def listed(words: tuple[str, ...], conjunction: str, mark: str = "`") -> str:
    """Write words as a list in a sentence."""
    marked = [f"{mark}{word}{mark}" for word in words]
    return (
        f" {conjunction} ".join([", ".join(marked[:-1]), marked[-1]])
        if len(marked) > 1
        else "".join(marked)
    )
