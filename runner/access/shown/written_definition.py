"""A request's definition as it stands in its file. Reads the file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from runner.errors import Problem, RefusedError
from runner.requests.files.bounded_read import Trouble, read_bounded
from runner.requests.files.outside_files import UNSHOWN, is_inside
from runner.requests.model import Source
from runner.requests.yaml.document import Document, documents_in
from runner.requests.yaml.unreadable import decoded, lines_of


class Line(NamedTuple):
    """A line of a file; numbers count from 1."""

    number: int
    text: str


def written_definition(source: Source, jobs: Path) -> list[Line]:
    """Return the lines of the document that defines a request, or of the whole file if it
    defines nothing else.

    Raises RefusedError if the file cannot be read or shown, or if it has changed since
    the definition was read from it.
    """
    path = str(jobs / source.file)
    if not is_inside(path, str(jobs)):
        raise RefusedError(f"{source.file}: {UNSHOWN}")
    content = read_bounded(path)
    if isinstance(content, Trouble):
        raise RefusedError(f"{source.file} cannot be read: {content.reason}")
    raw = content[0]
    if _digest(raw) == source.sha256:
        return _numbered(decoded(raw), 1)
    for document in _documents(raw):
        if _digest(document.text.encode()) == source.sha256:
            (alone,) = _documents(document.text.encode())
            return _numbered(document.text, document.line - alone.line + 1)
    raise RefusedError(f"{source.file} has changed since this definition was read from it")


def _documents(raw: bytes) -> tuple[Document, ...]:
    documents = documents_in(raw, "")
    return () if isinstance(documents, Problem) else documents


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _numbered(text: str, first: int) -> list[Line]:
    lines = lines_of(text.removesuffix("\n"))
    return [Line(number, line) for number, line in enumerate(lines, first)]
