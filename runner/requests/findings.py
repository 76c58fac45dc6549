"""Findings: what is wrong at one path of a document, before its position is known. Pure.

Also the words and values that messages share.
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
        """A position in a text as the YAML library reports it; all three count from 0."""

        line: int
        column: int
        index: int


DataPath = tuple[str | int, ...]
DID_YOU_MEAN = "did you mean "
RUNNER_CALLS_IT = "Runner calls it "
MOST_FINDINGS = 100
"""Maximum number of findings per document; more would be noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A position in a text; both count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong at `path`.

    `at_key` points at the key instead of its value; `spot` overrides both.
    """

    path: DataPath
    message: str
    suggestion: str | None = None
    at_key: bool = False
    spot: Spot | None = None


def lies_below(path: DataPath, tops: Collection[DataPath]) -> bool:
    """Report whether a path is one of `tops` or lies below one.

    >>> lies_below(("timing", "schedule"), {("timing",)})
    True
    """
    return bool(tops) and any(path[:length] in tops for length in range(len(path) + 1))


def merged_findings(findings: Collection[Finding], others: Iterable[Finding]) -> list[Finding]:
    """Return `findings`, and those of `others` at or below none of their paths.

    So one fault is reported once, by the check that explains it best.
    """
    known = {finding.path for finding in findings if finding.path}
    return [*findings, *(each for each in others if not lies_below(each.path, known))]


def value_at(data: object, path: DataPath) -> object:
    """Return the value at a path, None if there is none.

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
    """Return data without the keys at some paths.

    List items stay, because removing one would shift the indices of the next.

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
    """Write a path as messages show it.

    >>> path_text(("timing", "schedule", "at", 0))
    'timing.schedule.at[0]'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{plain(part)}" for part in path)
    return text.removeprefix(".")


def plain(text: str, limit: int = 60) -> str:
    """Show a key or word on one line: escape unprintable text, cut long text.

    >>> plain("a\\x1b[0m")
    'a\\\\u001b[0m'
    """
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return text if text.isprintable() else json.dumps(text)[1:-1]


def shown(value: object) -> str:
    """Show a value as YAML would write it; lists and mappings are only named.

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
    """Drop findings that only follow from a misspelt key: that the right key is missing."""
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
    """Yield the keys, in backticks, that a suggestion for a wrong key proposes.

    >>> list(_keys_meant("did you mean `shell`?"))
    ['`shell`']
    >>> list(_keys_meant("write frequency: minutely, interval: 5"))
    ['`frequency`', '`interval`']
    """
    if suggestion.startswith(DID_YOU_MEAN):
        yield suggestion.removeprefix(DID_YOU_MEAN).removesuffix("?")
    elif suggestion.startswith(RUNNER_CALLS_IT):
        yield f"`{re.split(r'[.`]', suggestion.removesuffix('`'))[-1]}`"
    elif suggestion.startswith("write "):
        outer = re.sub(r"\{.*\}|\[.*\]", "", suggestion)
        yield from (f"`{key}`" for key in re.findall(r"(?:^write |, )([a-z_]+): ", outer))


def subject_of(path: DataPath) -> str:
    """Name the value at a path, as the subject of a sentence."""
    if not path:
        return "a request"
    if isinstance(path[-1], int):
        return f"`{plain(str(path[-2]))}[{path[-1]}]`" if len(path) > 1 else f"entry {path[-1]}"
    return f"`{plain(path[-1])}`"


def listed(words: tuple[str, ...], conjunction: str, mark: str = "`") -> str:
    """Join words as a list within a sentence."""
    marked = [f"{mark}{word}{mark}" for word in words]
    return (
        f" {conjunction} ".join([", ".join(marked[:-1]), marked[-1]])
        if len(marked) > 1
        else "".join(marked)
    )
