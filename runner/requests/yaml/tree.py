"""One YAML document, built from its events with positions and findings. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from runner.requests.findings import MOST_FINDINGS, Finding, Spot, plain, shown
from runner.requests.yaml.unreadable import DEEPEST, too_deep

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from runner.requests.findings import Mark

    class _Node(Protocol):
        """The used part of the library's events, whose own types have optional marks."""

        start_mark: Mark
        anchor: str | None

    class _Tagged(_Node, Protocol):
        tag: str | None

    class _Scalar(_Tagged, Protocol):
        value: str
        implicit: tuple[bool, bool]


_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_FLOAT = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,17}")
_DROPPED = "\0"
"""Stands for a key whose value is read and discarded; no accepted key contains it."""


@dataclass(slots=True)
class Marks:
    """Where the keys and values (of a list: the items) of one container begin.

    The reference to the container keeps its `id` unique while the marks exist.
    """

    container: object
    keys: dict[str | int, Mark] = field(default_factory=dict)
    values: dict[str | int, Mark] = field(default_factory=dict)


def resolved(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar.

    A number only if printing it gives `text` again, so that nothing is lost.

    >>> [resolved(text) for text in ("8080", "0700", "1.10", "10:30", "NO", "true", "1e3")]
    [8080, '0700', '1.10', '10:30', 'NO', True, '1e3']
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-0123456789":
        return text
    number: int | float
    if _INTEGER.fullmatch(text):
        number = int(text)
    elif _FLOAT.fullmatch(text):
        number = float(text)
    else:
        return text
    return number if str(number) == text else text


def spot_of(mark: Mark) -> Spot:
    """Convert the library's mark, which counts from 0, to a spot, which counts from 1."""
    return Spot(line=mark.line + 1, column=mark.column + 1)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being filled.

    `at` is its place in its parent; `key` is the key whose value comes next.
    """

    container: list[object] | dict[str, object]
    at: str | int
    marks: Marks
    key: str | None = None


class Builder:
    """Builds one document from its events, without recursion."""

    def __init__(self) -> None:
        self.end = 0
        self.is_empty = False
        self._data: object = None
        self._mark: Mark | None = None
        self._stack: list[_Open] = []
        self._marks: dict[int, Marks] = {}
        self._findings: list[Finding] = []

    @property
    def data(self) -> object:
        """The document's data so far."""
        return self._data

    @property
    def mark(self) -> Mark:
        """Where the document begins."""
        assert self._mark is not None
        return self._mark

    @property
    def top(self) -> Mapping[str | int, Mark]:
        """The positions of the document's top-level values."""
        return self._marks[id(self._data)].values if isinstance(self._data, dict) else {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the document as YAML."""
        return tuple(self._findings)

    def marked(self) -> tuple[object, Mapping[int, Marks]]:
        """Return the data, and the positions in each of its containers by the container's `id`."""
        return self._data, self._marks

    def take(self, event: Any) -> bool:
        """Take one event; return False if it was the document's last."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self.scalar(event)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self.close()
        elif kind is yaml.MappingStartEvent:
            self.open({}, event)
        elif kind is yaml.SequenceStartEvent:
            self.open([], event)
        elif kind is yaml.AliasEvent:
            self.alias(event)
        else:
            self.end = event.end_mark.index
            return False
        return True

    def scalar(self, event: _Scalar) -> None:
        """Store a scalar; refuse its anchor, its tag and NUL characters."""
        text = event.value
        is_plain = event.implicit[0]
        self.is_empty = not self._stack and not text and is_plain
        at = self._put(
            resolved(text) if is_plain else text, event, merges=is_plain and text == "<<"
        )
        if event.anchor or event.tag:
            self._refuse_marks(event, at)
        if "\0" in text:
            self._find(at, "this text contains a NUL character", "leave it out", event)

    def open(self, container: list[object] | dict[str, object], event: _Tagged) -> None:
        """Open a list or mapping. Raises UnreadableError beyond `DEEPEST`."""
        if len(self._stack) >= DEEPEST:
            raise too_deep(event.start_mark)
        at = self._put(container, event)
        if event.anchor or event.tag:
            self._refuse_marks(event, at)
        self._marks[id(container)] = marks = Marks(container)
        self._stack.append(_Open(container, at, marks))

    def close(self) -> None:
        """Close the open list or mapping."""
        self._stack.pop()

    def alias(self, event: _Node) -> None:
        """Refuse an alias."""
        message = f"`*{plain(event.anchor or '')}` is an alias; aliases are not supported"
        self._find(
            self._put(_DROPPED, event),
            message,
            "write the value out, or quote it if it is meant as text",
            event,
        )

    def _put(self, value: object, event: _Node, *, merges: bool = False) -> str | int:
        """Store a node in the open container and return its place there."""
        if not self._stack:
            self._data, self._mark = value, event.start_mark
            return _DROPPED
        top = self._stack[-1]
        container, at = top.container, top.key
        if isinstance(container, list):
            top.marks.values[len(container)] = event.start_mark
            container.append(value)
            return len(container) - 1
        if at is None:
            top.key = self._key(value, event, top, merges=merges)
            return top.key
        if at != _DROPPED:
            top.marks.values[at] = event.start_mark
            container[at] = value
        top.key = None
        return at

    def _key(self, key: object, event: _Node, top: _Open, *, merges: bool) -> str:
        """Return a valid new key, otherwise `_DROPPED` with a finding."""
        if merges:
            self._find(
                _DROPPED, "merge keys (`<<`) are not supported", "write the values out", event
            )
        elif not isinstance(key, str):
            is_word = isinstance(key, bool | int | float)
            quoted = (
                f'quote it: "{shown(key)}"'
                if is_word
                else "quote the whole key if its brackets are text"
            )
            self._find(_DROPPED, f"a key must be text, not {shown(key)}", quoted, event)
        elif key in top.container:
            first = top.marks.keys[key].line + 1
            self._find(
                key,
                f"`{plain(key)}` appears twice; the first is at line {first}",
                "keep one",
                event,
            )
        elif "\0" not in key:
            top.marks.keys[key] = event.start_mark
            return key
        return _DROPPED

    def _refuse_marks(self, event: _Tagged, at: str | int) -> None:
        if event.anchor:
            message = f"`&{plain(event.anchor)}` is an anchor; anchors are not supported"
            self._find(
                at, message, "leave it out, or quote the value if it is meant as text", event
            )
        if event.tag:
            message = (
                f"`{plain(event.tag.replace('tag:yaml.org,2002:', '!!'))}` is a tag; tags are "
                "not supported"
            )
            self._find(
                at, message, "leave it out, or quote the value if it is meant as text", event
            )

    def _find(self, at: str | int, message: str, suggestion: str | None, event: _Node) -> None:
        """Add a finding for the node at a place in the open container."""
        if len(self._findings) < MOST_FINDINGS:
            path = tuple(
                part for part in (*(opened.at for opened in self._stack), at) if part != _DROPPED
            )
            spot = spot_of(event.start_mark)
            self._findings.append(
                Finding(path=path, message=message, suggestion=suggestion, spot=spot)
            )
