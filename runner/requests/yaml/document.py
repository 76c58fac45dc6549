"""From the bytes of a file to documents of plain data with positions. Pure.

This module reads the library's events and leaves out its composer and constructor.
Those recurse (25 KB of `[` end the process), expand aliases, let the last of two equal
keys win, and read `10:30` as 630.

The accepted language is a strict part of YAML 1.2: text keys, without aliases, anchors,
merge keys and tags. A plain scalar becomes a number only if printing the number gives
the same text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]

from runner.errors import Problem
from runner.requests.findings import DataPath, Finding, Spot, path_text, plain
from runner.requests.yaml.syntax_errors import explained
from runner.requests.yaml.tree import Builder, Marks, resolved, spot_of
from runner.requests.yaml.unreadable import DEEPEST, UnreadableError, decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runner.requests.findings import Mark


_ENDS = frozenset({yaml.MappingEndEvent, yaml.SequenceEndEvent})
_EMPTY: Mapping[type[yaml.Event], Callable[[], Any]] = {
    yaml.MappingStartEvent: dict,
    yaml.SequenceStartEvent: list,
}
MOST_NODES = 100_000
MOST_DOCUMENTS = 2_000
_LONGEST_MESSAGE = 600


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document of a file.

    `text` is its share of the file, from the end of the previous document to its own
    end. `findings` are its errors as YAML; `data` leaves out the values they concern.
    `mark` is its beginning, `top` the positions of its top-level values. `mark_all`
    parses it again for all other positions, which few documents need.
    """

    data: object
    line: int
    text: str
    findings: tuple[Finding, ...] = ()
    mark: Mark = field(repr=False)
    top: Mapping[str | int, Mark] = field(repr=False)
    mark_all: Callable[[], tuple[object, Mapping[int, Marks]]] = field(repr=False)

    def spot(self, path: DataPath, *, at_key: bool = False) -> Spot:
        """Return where the value (or key) at `path` begins.

        For a missing path, the position of its nearest existing parent.
        """
        if len(path) == 1 and not at_key and isinstance(self.data, dict):
            return spot_of(self.top.get(path[0], self.mark))
        at: Any
        mark, (at, marked) = self.mark, self._marked
        for depth, part in enumerate(path, 1):
            marks = marked.get(id(at))
            if marks is None or part not in marks.values:
                break
            is_key = at_key and depth == len(path) and isinstance(at, dict)
            mark, at = (marks.keys if is_key else marks.values)[part], at[part]
        return spot_of(mark)

    @cached_property
    def _marked(self) -> tuple[object, Mapping[int, Marks]]:
        return self.mark_all()

    def problem(self, finding: Finding, file: str) -> Problem:
        """Return a finding as a problem with its position in `file`."""
        spot = finding.spot or self.spot(finding.path, at_key=finding.at_key)
        return Problem(
            file=file,
            line=spot.line,
            column=spot.column,
            path=path_text(finding.path),
            message=plain(finding.message, _LONGEST_MESSAGE),
            suggestion=finding.suggestion,
        )


def documents_in(raw: bytes, file: str) -> tuple[Document, ...] | Problem:
    """Read all documents of a file except empty ones.

    A Problem means that the file as a whole is not readable YAML.
    """
    try:
        return tuple(_documents(decoded(raw)))
    except UnreadableError as error:
        line, column = error.spot.line, error.spot.column
        return Problem(
            file=file,
            line=line,
            column=column,
            path="",
            message=str(error),
            suggestion=error.suggestion,
        )


def _documents(text: str) -> Iterator[Document]:
    reader = _Reader(text)
    end = 0
    for _ in range(MOST_DOCUMENTS):
        read = reader.next_document()
        if read is None:
            return
        begin, end = end, read.end
        if not read.is_empty:
            yield Document(
                data=read.data,
                line=read.mark.line + 1,
                text=text[begin:end],
                findings=read.findings,
                mark=read.mark,
                top=read.top,
                mark_all=read.marked,
            )
    raise UnreadableError(
        f"the file has more than {MOST_DOCUMENTS} documents", suggestion="split it"
    )


class _Reader:
    """Reads the events of a text, document by document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._parser = CParser(text)
        self._left = MOST_NODES

    def next_document(self) -> _Plain | Builder | None:
        """Return the next document, None at the end of the text."""
        try:
            while not isinstance(event := self._parser.get_event(), yaml.DocumentStartEvent):
                if isinstance(event, yaml.StreamEndEvent):
                    return None
            events: list[Any] = []
            return self._plain(events) or self._built(events)
        except yaml.YAMLError as error:
            raise explained(error, self._text) from None

    def _plain(self, events: list[Any]) -> _Plain | None:
        """Read a document without findings; return None at the first irregularity.

        `events` then holds the events read so far, which the builder reads again and
        explains. Nearly all documents are plain, and this loop takes a quarter of the
        time of reading a jobs folder; hence it calls no function per node.
        """
        get_event, note = self._parser.get_event, events.append
        root: Any = None
        into: Any = None  # the open container
        key: str | None = None  # the key whose value comes next
        parents: list[Any] = []
        top: dict[str | int, Mark] = {}
        for _ in range(self._left):
            event: Any = get_event()
            note(event)
            kind = type(event)
            if kind in _ENDS:
                into = parents.pop()
                continue
            if kind is yaml.DocumentEndEvent:
                self._left -= len(events)
                return _Plain(data=root, top=top, events=events)
            if event.anchor or event.tag or len(parents) >= DEEPEST:
                return None
            value: Any = event.value if kind is yaml.ScalarEvent else _EMPTY[kind]()
            if "\0" in value:
                return None
            if kind is yaml.ScalarEvent and event.implicit[0]:
                value = resolved(value)
            if type(into) is list:
                into.append(value)
            elif into is None:
                root = value
            elif key is None:
                if type(value) is not str or value in into or value == "<<":
                    return None
                key = value
                continue
            else:
                into[key] = value
                if into is root:
                    top[key] = event.start_mark
                key = None
            if kind is not yaml.ScalarEvent:
                parents.append(into)
                into = value
        return None

    def _built(self, read: list[Any]) -> Builder:
        """Read a document with the builder, from the events read so far and the rest."""
        builder = Builder()
        for event in chain(read, iter(self._parser.get_event, None)):
            if not builder.take(event):
                break
            self._left -= 1
            if self._left < 0:
                raise UnreadableError(
                    "the file has too many values",
                    suggestion="split it",
                    at=event.start_mark,
                )
        return builder


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plain:
    """A document without findings, and the events it was read from."""

    data: object
    top: dict[str | int, Mark]
    events: list[Any]
    findings: tuple[Finding, ...] = ()

    @property
    def mark(self) -> Mark:
        """Where the document begins."""
        mark: Mark = self.events[0].start_mark
        return mark

    @property
    def end(self) -> int:
        """The index in the text at which the document ends."""
        index: int = self.events[-1].end_mark.index
        return index

    @property
    def is_empty(self) -> bool:
        """Whether the document has no content; an explicit `null` counts as content."""
        return self.data is None and not self.events[0].value

    def marked(self) -> tuple[object, Mapping[int, Marks]]:
        """Build the document again with all positions."""
        builder = Builder()
        for event in self.events:
            builder.take(event)
        return builder.marked()
