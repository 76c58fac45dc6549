"""Read other schedulers' YAML so that no key is dropped silently. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from runner.errors import Problem, RunnerError
from runner.importing.imported import Draft
from runner.requests.findings import DataPath, path_text
from runner.requests.yaml.document import Document, documents_in

Expected = TypeVar("Expected")
_MOST_TOLD = 5
_KINDS = {
    str: "text",
    dict: "a mapping",
    list: "a list",
    bool: "true or false",
    int: "a whole number",
}
_TRUE, _FALSE = ("true", "yes", "on", "y"), ("false", "no", "off", "n")


def documents_of(text: str, name: str) -> tuple[Document, ...]:
    """Read a YAML file.

    Raises RunnerError that names the line of each problem: an alias, a template, a
    duplicate key.
    """
    documents = documents_in(text.encode(), name)
    if isinstance(documents, Problem):
        raise RunnerError(str(documents))
    problems = [
        document.problem(each, name) for document in documents for each in document.findings
    ]
    if problems:
        raise RunnerError("\n".join(str(problem) for problem in problems[:_MOST_TOLD]))
    return documents


@dataclass(slots=True, kw_only=True)
class Keys:
    """A mapping of the source that records which keys an importer has used.

    An importer takes each key that it understands. Afterwards `report_unused` reports the
    other keys.
    """

    data: dict[str, Any]
    draft: Draft
    document: Document | None = None
    path: DataPath = ()
    lines: tuple[str, ...] = ()
    taken: set[str] = field(default_factory=set)
    below: dict[DataPath, Keys] = field(default_factory=dict)
    """The mappings that were taken out of this one."""

    def text(self, key: str) -> str | None:
        """Take a text. A number or boolean becomes text."""
        value = self._take(key)
        if isinstance(value, bool):
            return str(value).lower()
        return (
            None
            if value is None
            else self._checked(key, str(value) if isinstance(value, int | float) else value, str)
        )

    def mapping(self, key: str) -> Keys:
        """Take a mapping; an empty one if the key is absent."""
        value = self._checked(key, self._take(key), dict) or {}
        return self._below(value, key)

    def mappings(self, key: str) -> Iterator[Keys]:
        """Take a list of mappings."""
        for index, value in enumerate(self.items(key)):
            if isinstance(value, dict):
                yield self._below(value, key, index)
            else:
                self.draft.changed(
                    f"`{key}` has an item that is not a mapping", line=self.line(key)
                )

    def items(self, key: str) -> list[Any]:
        """Take a list."""
        return self._checked(key, self._take(key), list) or []

    def truth(self, key: str, *, default: bool) -> bool:
        """Take a boolean, in any of YAML 1.1's spellings."""
        value = self._take(key)
        word = str(value).lower()
        if value is None:
            return default
        if word in _TRUE + _FALSE:
            return word in _TRUE
        self.draft.changed(f"`{key}` should be true or false", line=self.line(key))
        return default

    def number(self, key: str) -> float | None:
        """Take a number."""
        text = self.text(key)
        if text is None:
            return None
        if re.fullmatch(r"-?\d{1,12}(\.\d{1,12})?", text, re.ASCII):
            return float(text) if "." in text else int(text)
        self.draft.changed(f"`{key}` should be a number, not {text!r}", line=self.line(key))
        return None

    def spelled(self, key: str) -> str:
        """Take a text exactly as written.

        For a value such as `yes` or `~`, which YAML reads as a boolean or null, return
        the characters in the file.
        """
        value = self._take(key)
        if value is not None and not isinstance(value, bool):
            return str(value)
        if self.document is None or key not in self.data:
            return ""
        spot = self.document.spot((*self.path, key))
        found = re.match(r"[A-Za-z]+|~", self.lines[spot.line - 1][spot.column - 1 :])
        return found[0] if found else ""

    def raw(self, key: str) -> Any:
        """Take a value of any type."""
        return self._take(key)

    def ignore(self, *keys: str) -> None:
        """Take keys that do not affect how a request runs."""
        self.taken.update(keys)

    def ignore_all(self) -> None:
        """Take all keys, because a remark already covers the whole mapping."""
        self.taken.update(self.data)

    def left(self) -> Iterator[tuple[Keys, str]]:
        """Yield the keys that were not taken, here and in the mappings below."""
        yield from ((self, key) for key in self.data if key not in self.taken)
        for keys in self.below.values():
            yield from keys.left()

    def report_unused(self) -> None:
        """Remark on each key that was not taken. Call it last, on the outermost mapping."""
        for keys, key in self.left():
            self.draft.changed(f"`{keys.named(key)}` is not carried over", line=keys.line(key))

    def line(self, key: str | None = None) -> int:
        """Return the line of a key, or of the mapping itself."""
        if self.document is None:
            return self.draft.line
        path = (*self.path, key) if key in self.data else self.path
        return self.document.spot(path, at_key=True).line

    def named(self, key: str) -> str:
        """Return the full path of a key, for messages."""
        return path_text((*self.path, key))

    def _below(self, value: dict[str, Any], *path: str | int) -> Keys:
        if path not in self.below:
            self.below[path] = Keys(
                data=value,
                draft=self.draft,
                document=self.document,
                path=(*self.path, *path),
                lines=self.lines,
            )
        return self.below[path]

    def _take(self, key: str) -> Any:
        self.taken.add(key)
        return self.data.get(key)

    def _checked(self, key: str, value: Any, kind: type[Expected]) -> Expected | None:
        if value is None or isinstance(value, kind):
            return value
        self.draft.changed(f"`{key}` should be {_KINDS[kind]}", line=self.line(key))
        return None
