"""Applies hints to documents as a person would: paste what they say, and read again."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from runner.errors import Problem
from runner.requests.catalog.file_reader import loaded
from runner.requests.catalog.request_file import Place

Path = tuple[str | int, ...]
_PLACE = Place(relative="x.yaml", display="x", path="/nowhere/x.yaml", default_zone="UTC")
_WRITE = re.compile(
    r"(?:in (?:`(?P<home>[^`]+)`|the request itself), )?write (?P<text>.*?)(?:, without quotes)?"
    r"(?:, in place of (?P<others>`.*`))?(?:; .*)?",
    re.DOTALL,
)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_MEANT = re.compile(r"did you mean `([^`]+)`\?")


def problems_of(document: object) -> list[Problem]:
    """Return the problems of a document, or of its text."""
    text = (
        document
        if isinstance(document, str)
        else yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    )
    return list(loaded(text.encode(), _PLACE).problems)


def path_of(text: str) -> Path:
    """Parse a path in its shown form.

    >>> path_of("timing.schedule.at[0]")
    ('timing', 'schedule', 'at', 0)
    """
    parts = re.findall(r"[^.\[\]]+|\[\d+\]", text)
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in parts)


def proposals(document: object, problems: Iterable[Problem]) -> Iterator[tuple[Problem, Any]]:
    """Yield each of the problems with a hint to write something, and the document after that."""
    for problem in problems:
        changed = applied(document, problem)
        if changed is not None:
            yield problem, changed


def applied(document: object, problem: Problem) -> Any:
    """Return the document with a hint applied; None if the hint says nothing to write."""
    hint, path = problem.suggestion or "", path_of(problem.path)
    if meant := _MEANT.fullmatch(hint):
        return _renamed(document, path, meant[1], "is not a key of" in problem.message)
    match = _WRITE.fullmatch(hint)
    if (
        match is None
        or "what is below it" in hint
        or hint.startswith(("write it like", "write 5, minute"))
    ):
        return None
    is_value = bool(re.match(r"[\[{'\"]", match["text"])) or not re.match(
        r"[a-z_]+: ", match["text"]
    )
    if is_value:
        return _with(document, path, yaml.load(match["text"], _Loader))
    return _with_entries(document, path, match)


class _Loader(yaml.SafeLoader):
    """Keeps times and dates as texts, as Runner does."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in {"bool", "null"}
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"(?:0|-?[1-9]\d*)$"), list("-0123456789")
)


def _with_entries(document: object, path: Path, match: re.Match[str]) -> Any:
    changed: Any = copy.deepcopy(document)
    around = _at(changed, path[:-1])
    # A hint for an entry of a list is for the whole list.
    key_path = path if isinstance(path[-1], str) else path[:-1]
    around = _at(changed, key_path[:-1])
    for key in {str(key_path[-1]), *re.findall(r"`([^`]+)`", match["others"] or "")}:
        around.pop(key, None)
    home = (
        around
        if not match["home"] and "the request itself" not in match[0]
        else _at(changed, path_of(match["home"] or ""))
    )
    _merge(home, yaml.load(f"{{{match['text']}}}", _Loader))
    return changed


def _merge(home: Any, entries: Any) -> None:
    home.update(entries)


def _with(document: object, path: Path, value: object) -> Any:
    if not path:
        return value
    changed: Any = copy.deepcopy(document)
    _at(changed, path[:-1])[path[-1]] = value
    return changed


def _renamed(document: object, path: Path, meant: str, is_key: bool) -> Any:
    if not is_key:
        return _with(document, path, meant)
    changed: Any = copy.deepcopy(document)
    around = _at(changed, path[:-1])
    around[meant] = around.pop(path[-1])
    return changed


def _at(document: Any, path: Path) -> Any:
    for part in path:
        document = document[part]
    return document
