"""From the bytes of a file to documents of plain data with positions. Pure.

YAML is read by its events, not by the library's composer and constructor: those recurse (25 KB of `[` end the process),
expand aliases, let the last of two equal keys win, and read `10:30` as 630. What is left is a strict part of YAML 1.2:
text keys, no aliases, anchors, merge keys and tags, and plain scalars that become something else than text only if
writing that gives the same text again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]

from runner.errors import Problem
from runner.requests.findings import MOST_FINDINGS, DataPath, Finding, Spot, path_text, plain, shown
from runner.requests.yaml_errors import UnreadableError, decoded, explained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Protocol

    from runner.requests.findings import Mark

    class _Node(Protocol):
        """What is used of the library's events, whose own types leave their marks optional."""

        start_mark: Mark
        anchor: str | None

    class _Tagged(_Node, Protocol):
        tag: str | None

    class _Scalar(_Tagged, Protocol):
        value: str
        implicit: tuple[bool, bool]


DEEPEST = 32
MOST_NODES = 100_000
MOST_DOCUMENTS = 2_000

_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_FLOAT = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,17}")
_DROPPED = "\0"
"""Stands for a key whose value is read and thrown away; no key is accepted that contains it."""


@dataclass(slots=True)
class _Marks:
    """Where the keys and values (of a list: the items) of one mapping or list begin.

    It keeps its container, so that the identity it is found by stays taken.
    """

    container: object
    keys: dict[str | int, Mark] = field(default_factory=dict)
    values: dict[str | int, Mark] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file. `text` is its share of the file: from the end of the one before it to its own end.

    `findings` are what is wrong with it as YAML; `data` is without what they concern.
    """

    data: object
    line: int
    text: str
    findings: tuple[Finding, ...] = ()
    mark: Mark = field(repr=False)
    marks: Mapping[int, _Marks] = field(repr=False)

    def spot(self, path: DataPath, *, at_key: bool = False) -> Spot:
        """Return where the value (or key) of `path` begins; for a path that is not there, the nearest one above."""
        mark = self.mark
        at: Any = self.data
        for depth, part in enumerate(path, 1):
            marks = self.marks.get(id(at))
            if marks is None or part not in marks.values:
                break
            is_key = at_key and depth == len(path) and isinstance(at, dict)
            mark, at = (marks.keys if is_key else marks.values)[part], at[part]
        return _spot(mark)

    def problem(self, finding: Finding, file: str) -> Problem:
        """Tell a finding at its place in `file`."""
        spot = finding.spot or self.spot(finding.path, at_key=finding.at_key)
        return Problem(
            file=file,
            line=spot.line,
            column=spot.column,
            path=path_text(finding.path),
            message=finding.message,
            suggestion=finding.suggestion,
        )


def documents_in(raw: bytes, file: str) -> tuple[Document, ...] | Problem:
    """Read all documents of a file; empty ones are left out. A Problem is the file's that cannot be read as YAML."""
    try:
        return tuple(_documents(decoded(raw)))
    except UnreadableError as error:
        line, column = error.spot.line, error.spot.column
        return Problem(file=file, line=line, column=column, path="", message=str(error), suggestion=error.suggestion)


def resolved(text: str) -> str | int | float | bool | None:
    """Return what a plain scalar means: numbers only if writing them gives `text` again, so that nothing is ever lost.

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


def _documents(text: str) -> Iterator[Document]:
    reader = _Reader(text)
    end = 0
    for _ in range(MOST_DOCUMENTS):
        builder = reader.next_document()
        if builder is None:
            return
        begin, end = end, builder.end
        if not builder.is_empty:
            yield builder.document(text[begin:end])
    raise UnreadableError(f"the file has more than {MOST_DOCUMENTS} documents", suggestion="divide it")


def _spot(mark: Mark) -> Spot:
    return Spot(line=mark.line + 1, column=mark.column + 1)


class _Reader:
    """The events of a text, document by document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._parser = CParser(text)
        self._left = MOST_NODES

    def next_document(self) -> _Builder | None:
        try:
            while not isinstance(event := self._parser.get_event(), yaml.DocumentStartEvent):
                if isinstance(event, yaml.StreamEndEvent):
                    return None
            return self._built()
        except yaml.YAMLError as error:
            raise explained(error, self._text) from None

    def _built(self) -> _Builder:
        builder, get_event = _Builder(), self._parser.get_event
        while True:
            event: Any = get_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                builder.scalar(event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                builder.close()
            elif kind is yaml.MappingStartEvent:
                builder.open({}, event)
            elif kind is yaml.SequenceStartEvent:
                builder.open([], event)
            elif kind is yaml.AliasEvent:
                builder.alias(event)
            else:
                builder.end = event.end_mark.index
                return builder
            self._left -= 1
            if self._left < 0:
                raise UnreadableError(
                    "the file is too large to be requests", suggestion="divide it", at=event.start_mark
                )


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being filled. `at` is its place in its parent; `key` the one whose value comes next."""

    container: list[object] | dict[str, object]
    at: str | int
    marks: _Marks
    key: str | None = None


class _Builder:
    """Builds one document from its events, without recursion."""

    def __init__(self) -> None:
        self.end = 0
        self.is_empty = False
        self._data: object = None
        self._mark: Mark | None = None
        self._stack: list[_Open] = []
        self._marks: dict[int, _Marks] = {}
        self._findings: list[Finding] = []

    def document(self, text: str) -> Document:
        assert self._mark is not None
        return Document(
            data=self._data,
            line=self._mark.line + 1,
            text=text,
            findings=tuple(self._findings),
            mark=self._mark,
            marks=self._marks,
        )

    def scalar(self, event: _Scalar) -> None:
        text = event.value
        is_plain = event.implicit[0]
        self.is_empty = not self._stack and not text and is_plain
        at = self._put(resolved(text) if is_plain else text, event, merges=is_plain and text == "<<")
        if event.anchor or event.tag:
            self._refuse_marks(event, at)
        if "\0" in text:
            self._find(at, "this text contains a NUL character", "leave it out", event)

    def open(self, container: list[object] | dict[str, object], event: _Tagged) -> None:
        if len(self._stack) >= DEEPEST:
            raise UnreadableError(f"this is nested deeper than {DEEPEST} levels", at=event.start_mark)
        at = self._put(container, event)
        if event.anchor or event.tag:
            self._refuse_marks(event, at)
        self._marks[id(container)] = marks = _Marks(container)
        self._stack.append(_Open(container, at, marks))

    def close(self) -> None:
        self._stack.pop()

    def alias(self, event: _Node) -> None:
        message = f"`*{plain(event.anchor or '')}` is an alias; aliases are not supported"
        self._find(
            self._put(_DROPPED, event), message, "write the value out, or quote it if it is meant as text", event
        )

    def _put(self, value: object, event: _Node, *, merges: bool = False) -> str | int:
        """Store a node where it belongs and return its place there."""
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
        """Return the key if it is a new one of text, and `_DROPPED` otherwise."""
        if merges:
            self._find(_DROPPED, "merge keys (`<<`) are not supported", "write the values out", event)
        elif not isinstance(key, str):
            quoted = f'quote it: "{shown(key)}"' if isinstance(key, bool | int | float) else "quote it"
            self._find(_DROPPED, f"a key must be text, not {shown(key)}", quoted, event)
        elif key in top.container:
            first = top.marks.keys[key].line + 1
            self._find(key, f"`{plain(key)}` is here twice; the first is at line {first}", "keep one", event)
        elif "\0" not in key:
            top.marks.keys[key] = event.start_mark
            return key
        return _DROPPED

    def _refuse_marks(self, event: _Tagged, at: str | int) -> None:
        if event.anchor:
            message = f"`&{plain(event.anchor)}` is an anchor; anchors are not supported"
            self._find(at, message, "leave it out, or quote the value if it is meant as text", event)
        if event.tag:
            message = f"`{plain(event.tag.replace('tag:yaml.org,2002:', '!!'))}` is a tag; tags are not supported"
            self._find(at, message, "leave it out, or quote the value if it is meant as text", event)

    def _find(self, at: str | int, message: str, suggestion: str | None, event: _Node) -> None:
        """Note what is wrong with the node at a place of what is being filled."""
        if len(self._findings) < MOST_FINDINGS:
            path = tuple(part for part in (*(opened.at for opened in self._stack), at) if part != _DROPPED)
            spot = _spot(event.start_mark)
            self._findings.append(Finding(path=path, message=message, suggestion=suggestion, spot=spot))
